"""The market in memory, never older than the newest commit, for rows of single stocks.

All stocks are in columns (`base`), read from the database in one pass. A stock that a later commit
changes is read from the database at its next request, and stored separately (`patch`). When a
commit changes much of the market, a thread builds a new base in the background, and no request
waits for it.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.errors import StoreError, StoreReplacedError
from preprocess.features.batch import NO_DAY, BatchRows, batch_rows, stock_indices
from preprocess.market.columns import MarketColumns, columns_of
from preprocess.market.values import Days, Mark
from preprocess.serving.wire import Float32s, WireRows
from preprocess.store import Store

# With this many changed stocks, a new base is built: reading each alone takes 0.1 ms.
_REBASE_FROM = 256
# A base takes about a third of a second to build; a stream of imports must not keep a core busy.
_REBASE_PAUSE_S = 2.0
# Marks known to be of this log, one a commit; any other is looked up there.
_MOST_MARKS = 1_000


@dataclass(frozen=True)
class _Base:
    """Columns and, for the newest day of the market, every stock's row already computed."""

    columns: MarketColumns
    ready_day: int
    ready: WireRows

    @classmethod
    def of(cls, columns: MarketColumns) -> "_Base":
        newest = columns.newest_day()
        if newest is None:
            return cls(columns, NO_DAY, WireRows.empty(0))
        days = np.full(len(columns), newest, dtype=np.int32)
        rows = batch_rows(columns, np.arange(len(columns)), days)
        return cls(columns, newest, WireRows.of(rows))


class LiveMarket:
    """Rows of any stock and day. For use by one thread; it starts and joins a thread of its own."""

    def __init__(self, opener: Callable[[], Store]) -> None:
        """`opener` opens a separate store for each of the two threads.

        Raises:
            StoreError: the database cannot be read.
        """
        self._opener = opener
        self._store = opener()
        self._base = _Base.of(self._store.columns())
        self._patch = _no_market()
        self._stale: set[bytes] = set()  # changed since the base was read
        self._held: set[bytes] = (
            set()
        )  # of these, the ones that the patch has in their current state
        self._mark = self._base.columns.mark  # the last change-log entry that was read
        self._first = self._mark.sequence  # the first one
        self._changed: dict[bytes, int] = {}  # the newest change of each changed stock
        self._own_marks = {self._mark}
        self._checked = time.monotonic()
        self._rebased_at = -_REBASE_PAUSE_S
        self._rebase: threading.Thread | None = None
        self._next_base: _Base | None = None

    def refresh(self) -> None:
        """Read new entries of the change log; call it before the first row of a request.

        Raises:
            StoreReplacedError: the data in memory are those of another database.
            StoreError: the database cannot be read.
        """
        if self._next_base is not None:
            self._take_next_base()
        self._note_changes()
        if len(self._stale) >= _REBASE_FROM:
            self._start_rebase()

    def ready_row(self, code: bytes, day: int) -> tuple[Float32s, bytes, bytes] | None:
        """Values float32 [25], as-of date and status, if they are computed already; else None."""
        base = self._base
        if day != base.ready_day or code in self._stale:
            return None
        index = base.columns.index_by_code.get(code)
        if index is None:
            return None
        ready = base.ready
        return ready.values[index], ready.as_of[index], ready.status[index]

    @property
    def mark(self) -> Mark:
        """The change-log entry up to which rows are certainly correct."""
        return self._mark

    def knows(self, code: bytes) -> bool:
        """Whether the stock may have rows."""
        return code in self._base.columns.index_by_code or code in self._stale

    def is_current(self, code: bytes, mark: Mark) -> bool:
        """Whether a row of the stock that was correct at `mark` is still correct.

        Also False for rows from before the newest change in the first base: which stocks had
        changed by then is unknown.

        Raises:
            StoreError: the database cannot be read.
        """
        changed = self._changed.get(code, self._first)
        return mark.sequence >= changed and self._is_of_this_log(mark)

    def rows(self, codes: Sequence[bytes], days: Days) -> BatchRows:
        """The rows of stocks as of day numbers.

        Raises:
            StoreError: a changed stock cannot be read from the database.
        """
        base = self._base.columns
        stale = np.array([code in self._stale for code in codes])
        if not stale.any():
            return batch_rows(base, stock_indices(base, codes), days)
        patch = self._patched({code for code in codes if code in self._stale})
        if stale.all():
            return batch_rows(patch, stock_indices(patch, codes), days)
        mine = [code for code, is_stale in zip(codes, stale, strict=True) if is_stale]
        rest = [code for code, is_stale in zip(codes, stale, strict=True) if not is_stale]
        return _interleaved(
            stale,
            batch_rows(patch, stock_indices(patch, mine), days[stale]),
            batch_rows(base, stock_indices(base, rest), days[~stale]),
        )

    def close(self) -> None:
        """Wait for the thread, then close the store."""
        if self._rebase is not None:
            self._rebase.join()
        self._store.close()

    def _is_of_this_log(self, mark: Mark) -> bool:
        """Whether the mark is of this database, and not of another one or of an older copy."""
        if mark in self._own_marks:
            return True
        return self._store.has_mark(mark)

    def _note_changes(self) -> None:
        now = time.monotonic()
        if now - self._checked < self._store.poll_interval_s:
            return
        self._checked = now
        newest = self._store.mark()
        if newest == self._mark:
            return
        if not self._store.has_mark(self._mark):
            raise StoreReplacedError("The database was restored: its log has another past.")
        for change in self._store.changes_since(self._mark.sequence):
            code = change.bse_code.encode()
            self._changed[code] = change.sequence
            if change.sequence > self._base.columns.mark.sequence:
                self._stale.add(code)
                self._held.discard(code)
        self._mark = newest
        if len(self._own_marks) >= _MOST_MARKS:
            self._own_marks.clear()
        self._own_marks.add(newest)

    def _patched(self, codes: set[bytes]) -> MarketColumns:
        """The patch, after reading those of `codes` from the database that it lacks."""
        lacking = codes - self._held
        if lacking:
            fresh = self._store.columns(sorted(code.decode() for code in lacking))
            self._patch = self._patch.replaced(lacking, fresh)
            self._held |= lacking
        return self._patch

    def _start_rebase(self) -> None:
        now = time.monotonic()
        is_running = self._rebase is not None and self._rebase.is_alive()
        if is_running or now - self._rebased_at < _REBASE_PAUSE_S:
            return
        self._rebased_at = now
        self._rebase = threading.Thread(target=self._make_base, name="rebase", daemon=True)
        self._rebase.start()

    def _make_base(self) -> None:
        try:
            store = self._opener()
            try:
                self._next_base = _Base.of(store.columns())
            finally:
                store.close()
        except StoreError:
            return  # the old base and the patch stay in use; the next commit tries again

    def _take_next_base(self) -> None:
        base, self._next_base = self._next_base, None
        if base is None:
            return
        self._base, self._patch, self._held = base, _no_market(), set()
        number = base.columns.mark.sequence
        self._stale = {code for code, changed in self._changed.items() if changed > number}
        self._checked = -math.inf  # changes since the base was read are noted before any answer


def _no_market() -> MarketColumns:
    return columns_of([])


def _interleaved(first: NDArray[np.bool_], chosen: BatchRows, others: BatchRows) -> BatchRows:
    count = len(first)
    rows = BatchRows(
        np.empty((count, chosen.values.shape[1])),
        np.empty(count, np.int32),
        np.empty(count, np.int8),
    )
    for mask, part in ((first, chosen), (~first, others)):
        rows.values[mask], rows.as_of[mask], rows.status[mask] = (
            part.values,
            part.as_of,
            part.status,
        )
    return rows
