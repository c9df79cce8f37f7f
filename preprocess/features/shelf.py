"""Stock histories kept in memory, never older than the newest committed change."""

from collections import OrderedDict

from preprocess.market import StockHistory
from preprocess.store import Store


class HistoryShelf:
    """The histories asked for most recently. Not for use by several threads at once."""

    def __init__(self, store: Store, *, capacity: int) -> None:
        """Keep at most `capacity` histories; one of 800 rows takes about 60 KB."""
        self._store = store
        self._capacity = capacity
        self._kept: OrderedDict[str, StockHistory] = OrderedDict()
        self._sequence = store.sequence()

    def __len__(self) -> int:
        return len(self._kept)

    def refresh(self) -> None:
        """Drop what has changed since the last call: to be called before a request's first row.

        A history that is read later may hold a newer change than this saw; the next call drops it
        and it is read again, which costs a moment and never an old answer.
        """
        if self._store.sequence() == self._sequence:
            return
        for change in self._store.changes_since(self._sequence):
            self._kept.pop(change.bse_code, None)
            self._sequence = change.sequence

    def history(self, bse_code: str) -> StockHistory | None:
        """The history of a stock; None when it is not known (which is asked anew each time)."""
        kept = self._kept.get(bse_code)
        if kept is not None:
            self._kept.move_to_end(bse_code)
            return kept
        history = self._store.history(bse_code)
        if history is not None:
            self._kept[bse_code] = history
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return history
