"""The reads of a store, each through a reader of one connection."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import date

from preprocess.market import (
    Change,
    DailyPrediction,
    Listing,
    Mark,
    Span,
    Stock,
    StockHistory,
)
from preprocess.store.reading import SqlReader


class ReadingStore(ABC):
    """`Reader` for a store that can lend a reader for the length of one read."""

    @abstractmethod
    def _reading(self) -> AbstractContextManager[SqlReader]:
        """A reader; what goes wrong inside the block is explained as a StoreError."""

    def history(self, bse_code: str) -> StockHistory | None:
        """All that is stored of one stock; None when the stock is not known."""
        with self._reading() as read:
            return read.history(bse_code)

    def bse_codes(self) -> list[str]:
        """The codes of all stocks, ascending."""
        with self._reading() as read:
            return read.bse_codes()

    def stocks(self) -> list[Stock]:
        """All stocks, ascending by code."""
        with self._reading() as read:
            return read.stocks()

    def listings(self) -> list[Listing]:
        """The stocks that have a price, ascending by code."""
        with self._reading() as read:
            return read.listings()

    def sector_codes(self) -> dict[str, int]:
        """The integer code of every sector that was ever stamped."""
        with self._reading() as read:
            return read.sector_codes()

    def stamped_months(self) -> set[str]:
        """The months for which static features have been computed."""
        with self._reading() as read:
            return read.stamped_months()

    def predictions(self, prediction_date: date, model_version: int) -> list[DailyPrediction]:
        """The stored predictions of a day by a version, ascending by code."""
        with self._reading() as read:
            return read.predictions(prediction_date, model_version)

    def price_days(self) -> tuple[date, date] | None:
        """The first and the last day that any price is dated; None when there is none."""
        with self._reading() as read:
            return read.price_days()

    def span(self) -> Span:
        """How much is stored, table by table."""
        with self._reading() as read:
            return read.span()

    def sequence(self) -> int:
        """Number of the newest change; 0 when nothing was ever written."""
        with self._reading() as read:
            return read.sequence()

    def mark(self) -> Mark:
        """The newest entry of the change log."""
        with self._reading() as read:
            return read.mark()

    def has_mark(self, mark: Mark) -> bool:
        """Whether the change log holds this very entry."""
        with self._reading() as read:
            return read.has_mark(mark)

    def changes_since(self, sequence: int) -> list[Change]:
        """The changes after `sequence`, ascending."""
        with self._reading() as read:
            return read.changes_since(sequence)
