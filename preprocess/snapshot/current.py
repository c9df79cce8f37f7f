"""The market as it is now: the snapshot with what has changed since, or the database."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from preprocess.columns import MarketColumns
from preprocess.errors import SnapshotError
from preprocess.snapshot.file import read_snapshot
from preprocess.store import Store

# Above this share of changed stocks the database is read in one pass.
_MOST = 0.25
# Commits that may come in while stocks are read, before everything is read as of one commit.
_PATIENCE = 5


@dataclass(frozen=True, slots=True)
class Loaded:
    """Columns as of their mark, and where they came from.

    `changed` is the number of stocks taken from the database over the snapshot; `reason` says
    why the snapshot was not used, and is empty when it was.
    """

    columns: MarketColumns
    changed: int
    reason: str


def load_market(store: Store, snapshot: Path | None) -> Loaded:
    """All stocks as of a commit that is not older than this call.

    A snapshot that is absent, damaged, of another database or far behind means that the database
    is read: it can cost time, and never a wrong answer.

    Raises:
        StoreError: the database cannot be read.
    """
    if snapshot is None:
        return _live(store, "no snapshot is kept")
    try:
        columns = read_snapshot(snapshot)
    except SnapshotError as error:
        return _live(store, str(error))
    if not store.has_mark(columns.mark):
        return _live(store, f"The snapshot {snapshot} is not of this database.")
    return caught_up(store, columns)


def caught_up(store: Store, columns: MarketColumns) -> Loaded:
    """`columns`, read from this store earlier, with every stock that has changed since.

    Raises:
        StoreError: the database cannot be read.
    """
    changed: set[str] = set()
    seen = columns.mark.sequence
    for _ in range(_PATIENCE):
        changes = store.changes_since(seen)
        changed |= {change.bse_code for change in changes}
        if not changes:
            return Loaded(columns, len(changed), "")
        if len(changed) > _MOST * len(columns):
            return _live(store, f"{len(changed)} stocks have changed.")
        fresh = store.columns(sorted(changed))
        columns = columns.replaced(_bytes(changed), fresh)
        # What was committed between the two reads may concern a stock that was not read.
        seen = changes[-1].sequence
    return _live(store, "The database is being written without a pause.")


def _live(store: Store, reason: str) -> Loaded:
    columns = store.columns()
    return Loaded(columns, len(columns), reason)


def _bytes(codes: Iterable[str]) -> set[bytes]:
    return {code.encode() for code in codes}
