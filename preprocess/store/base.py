"""The interface of a market database. SQL and its dialects stay behind it."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from preprocess.market.columns import MarketColumns
from preprocess.market.values import StockHistory
from preprocess.store.reading import Reader
from preprocess.store.writing import Writer


class Store(Reader):
    """A market database. Every method raises StoreError with what to do about it."""

    # Seconds that a busy reader may go without querying sequence(); 0 where the query costs next
    # to nothing.
    poll_interval_s: float

    @abstractmethod
    def transaction(self) -> AbstractContextManager[Writer]:
        """One atomic change; the change log is written with it."""

    @abstractmethod
    def view(self) -> AbstractContextManager[Reader]:
        """Reads that all see the same commit, even while others write."""

    @abstractmethod
    def histories(self, bse_codes: Sequence[str] | None = None) -> Iterator[StockHistory]:
        """The histories of `bse_codes` (default: all), one at a time; unknown codes are skipped."""

    @abstractmethod
    def columns(self, bse_codes: Sequence[str] | None = None) -> MarketColumns:
        """The columns of `bse_codes` (default: all), read in one pass as of one commit.

        Unknown codes are left out, codes given twice count once.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connections. Idempotent."""
