"""Features for names and dates as they come over the wire, one status a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.errors import FeatureError, StoreError
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import FeatureRow, Status
from preprocess.features.shelf import HistoryShelf
from preprocess.features.vector import feature_row
from preprocess.golden import GOLDEN_CODE, GOLDEN_DATE, golden_history
from preprocess.market import is_bse_code
from preprocess.store import Store


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """`values` float32 [n, 25]; `as_of` and `status` are arrays of n byte strings."""

    values: NDArray[np.float32]
    as_of: NDArray[Any]
    status: NDArray[Any]


class FeatureService:
    """Answers rows from a store that is opened when first needed, and again after it failed."""

    def __init__(self, opener: Callable[[], Store], *, histories: int = 2_000) -> None:
        """`histories` is how many stocks' data are kept in memory."""
        self._opener = opener
        self._capacity = histories
        self._store: Store | None = None
        self._shelf: HistoryShelf | None = None
        self._golden = golden_history()

    @staticmethod
    def require_width(width: int) -> None:
        """Refuse a model repository that was made for another feature manifest.

        Raises:
            FeatureError: the configured width is not that of the manifest.
        """
        if width != FEATURE_COUNT:
            raise FeatureError(
                f"config.pbtxt gives `features` {width} columns, the manifest has {FEATURE_COUNT}."
            )

    def rows(self, codes: Sequence[bytes], days: Sequence[bytes]) -> FeatureBatch:
        """One row for each pair of code and ISO date; a row that fails fails alone."""
        shelf = self._fresh_shelf()
        pairs = zip(codes, days, strict=True)
        found = [self._row(shelf, code, day) for code, day in pairs]
        values = np.array([row.values for row in found]).reshape(len(found), FEATURE_COUNT)
        as_of = [b"" if row.as_of is None else row.as_of.isoformat().encode() for row in found]
        return FeatureBatch(
            values.astype(np.float32),
            np.array(as_of, dtype=np.object_),
            np.array([row.status.encode() for row in found], dtype=np.object_),
        )

    def close(self) -> None:
        """Let go of the store."""
        store, self._store, self._shelf = self._store, None, None
        if store is not None:
            store.close()

    def _fresh_shelf(self) -> HistoryShelf | None:
        """The shelf without what has changed since the last request; None without a database."""
        try:
            if self._store is None or self._shelf is None:
                self._store = self._opener()
                self._shelf = HistoryShelf(self._store, capacity=self._capacity)
            self._shelf.refresh()
        except StoreError:
            self.close()
        return self._shelf

    def _row(self, shelf: HistoryShelf | None, code_bytes: bytes, day_bytes: bytes) -> FeatureRow:
        code = code_bytes.decode("ascii", errors="replace")
        if not is_bse_code(code):
            return FeatureRow.without_values(Status.INVALID_CODE)
        day = _parsed_date(day_bytes)
        if day is None:
            return FeatureRow.without_values(Status.INVALID_DATE)
        return self._looked_up(shelf, code, day)

    def _looked_up(self, shelf: HistoryShelf | None, code: str, day: date) -> FeatureRow:
        if shelf is None:
            return FeatureRow.without_values(Status.STORE_UNAVAILABLE)
        if code == GOLDEN_CODE and day == GOLDEN_DATE:
            return feature_row(self._golden, day)
        try:
            history = shelf.history(code)
        except StoreError:
            self.close()
            return FeatureRow.without_values(Status.STORE_UNAVAILABLE)
        if history is None:
            return FeatureRow.without_values(Status.UNKNOWN_STOCK)
        return feature_row(history, day)


def _parsed_date(text: bytes) -> date | None:
    """The calendar day of exactly YYYY-MM-DD; fromisoformat alone takes week dates too."""
    if len(text) != 10 or text[4:5] != b"-" or text[7:8] != b"-":
        return None
    try:
        return date.fromisoformat(text.decode("ascii"))
    except ValueError:
        return None
