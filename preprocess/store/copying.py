"""A market from one database into another: row by row, and compared before it counts."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from preprocess.errors import StoreError
from preprocess.store.base import Store
from preprocess.store.tables import TABLES, Table

# Stocks whose rows are in memory at once: of ten years of prices, about 100,000 rows.
_STOCKS_AT_ONCE = 40

Advance = Callable[[int, int], None]


@dataclass(slots=True)
class Content:
    """What a table holds: its rows, counted, and a SHA-256 over them in the order of their key."""

    rows: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def add(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Take the next rows. Figures are written so that they read back to the same bits."""
        self.rows += len(rows)
        self._digest.update("".join([f"{row!r}\n" for row in rows]).encode())

    @property
    def checksum(self) -> str:
        """The SHA-256 so far, as hex digits."""
        digest: str = self._digest.hexdigest()
        return digest


@dataclass(frozen=True, slots=True)
class Copied:
    """One table, the same on both sides."""

    table: str
    rows: int
    checksum: str


def copy_market(
    source: Store,
    target: Store,
    *,
    replace: bool = False,
    advance: Advance = lambda _done, _total: None,
) -> list[Copied]:
    """Copy every table in one transaction of the target; what was copied, table by table.

    The source is read as of one commit, whoever writes to it meanwhile. Before the transaction
    ends, the target's rows are read back and compared. Packs and the change log are the target's
    own. `advance` is told of stocks done, over all tables and both passes, and of how many.

    Raises:
        StoreError: the target holds a market and `replace` is not set, or what it holds in the
            end is not what the source holds. It is left as it was.
    """
    with source.view() as read, target.transaction() as write:
        if replace:
            write.clear()
        elif any(write.span().counts.values()):
            raise StoreError(
                "The target holds a market already. Name an empty database, or replace what is in "
                "it with --replace."
            )
        codes = {table.name: read.codes_in(table) for table in TABLES}
        total, done = 2 * sum(map(len, codes.values())), 0
        sent: dict[str, Content] = {}
        for table in TABLES:
            content = sent[table.name] = Content()
            for some in _chunks(codes[table.name]):
                rows = read.rows_between(table, some[0], some[-1])
                content.add(rows)
                write.append_rows(table, rows)
                done += len(some)
                advance(done, total)
        copied = []
        for table in TABLES:
            content = Content()
            for some in _chunks(codes[table.name]):
                content.add(write.rows_between(table, some[0], some[-1]))
                done += len(some)
                advance(done, total)
            _require_equal(table, sent[table.name], content, write.count(table))
            copied.append(Copied(table.name, content.rows, content.checksum))
    return copied


def _require_equal(table: Table, sent: Content, held: Content, count: int) -> None:
    if (sent.rows, sent.checksum) == (held.rows, held.checksum) and count == sent.rows:
        return
    raise StoreError(
        f"{table.name} came out different: {sent.rows} rows ({sent.checksum[:12]}) were sent, "
        f"{count} rows ({held.checksum[:12]}) are there. Nothing of the copy was kept."
    )


def _chunks(codes: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(codes), _STOCKS_AT_ONCE):
        yield codes[start : start + _STOCKS_AT_ONCE]
