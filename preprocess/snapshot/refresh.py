"""Keeping the snapshot up to date: one process at a time, from the change log."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from preprocess.errors import SnapshotError
from preprocess.snapshot.current import load_market
from preprocess.snapshot.file import checksum, read_snapshot, recorded_checksum, write_snapshot
from preprocess.store import Store

_LOCK_TIMEOUT_S = 60.0
_LOCK_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did. `written` is 0 when the snapshot held the newest commit already."""

    stocks: int
    changed: int
    written: int
    seconds: float
    reason: str


def refresh_snapshot(store: Store, path: Path, *, full: bool = False) -> Refreshed:
    """Bring the snapshot at `path` to the newest commit; with `full`, make it anew.

    Raises:
        SnapshotError: it cannot be written, or another refresh does not end.
        StoreError: the database cannot be read.
    """
    began = time.monotonic()
    with _only_refresh(path):
        loaded = load_market(store, None if full else path)
        columns = loaded.columns
        written = 0
        if loaded.changed or loaded.reason:
            written = write_snapshot(path, columns)
    return Refreshed(len(columns), loaded.changed, written, time.monotonic() - began, loaded.reason)


def verify_snapshot(store: Store, path: Path) -> str | None:
    """What is wrong with the snapshot; None if it holds what the database gives at its mark.

    Raises:
        StoreError: the database cannot be read.
    """
    try:
        columns = read_snapshot(path)
        recorded = recorded_checksum(path)
    except SnapshotError as error:
        return str(error)
    if checksum(columns) != recorded:
        return f"The snapshot {path} is damaged: its arrays are not what was written."
    live = store.columns()
    if live.mark != columns.mark:
        return f"The snapshot {path} is at change {columns.mark.sequence}, the database at " + str(
            live.mark.sequence
        )
    if checksum(live) != recorded:
        return f"The snapshot {path} differs from the database."
    return None


@contextmanager
def _only_refresh(path: Path) -> Iterator[None]:
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise SnapshotError(f"The snapshot's folder cannot be written: {error}.") from error
    with lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SnapshotError(
                        f"Another refresh of {path} has been at work for {_LOCK_TIMEOUT_S:g} s: "
                        "try again when it is done."
                    ) from None
                time.sleep(_LOCK_PAUSE_S)
        yield
