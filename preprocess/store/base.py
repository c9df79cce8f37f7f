"""What Tezi needs of a market database. SQL and its dialects stay behind this interface."""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from datetime import date
from typing import Protocol

from preprocess.columns import MarketColumns
from preprocess.market import (
    Bar,
    Change,
    CircuitLabel,
    CorporateAction,
    DailyPrediction,
    Listing,
    Mark,
    QuarterResult,
    Span,
    StaticRow,
    Stock,
    StockHistory,
    Tally,
)


class Reader(Protocol):
    """The reads that a store and a transaction have in common."""

    def history(self, bse_code: str) -> StockHistory | None:
        """All that is stored of one stock; None when the stock is not known."""
        ...

    def bse_codes(self) -> list[str]:
        """The codes of all stocks, ascending."""
        ...

    def stocks(self) -> list[Stock]:
        """All stocks, ascending by code."""
        ...

    def listings(self) -> list[Listing]:
        """The stocks that have a price, ascending by code."""
        ...

    def sector_codes(self) -> dict[str, int]:
        """The integer code of every sector that was ever stamped."""
        ...

    def stamped_months(self) -> set[str]:
        """The months for which static features have been computed."""
        ...

    def predictions(self, prediction_date: date, model_version: int) -> list[DailyPrediction]:
        """The stored predictions of a day by a version, ascending by code."""
        ...

    def price_days(self) -> tuple[date, date] | None:
        """The first and the last day that any price is dated; None when there is none."""
        ...

    def span(self) -> Span:
        """How much is stored, table by table."""
        ...

    def sequence(self) -> int:
        """Number of the newest change; 0 when nothing was ever written."""
        ...

    def mark(self) -> Mark:
        """The newest entry of the change log."""
        ...

    def has_mark(self, mark: Mark) -> bool:
        """Whether the change log holds this very entry: what was read at it belongs to this store.

        The mark of an empty log is in every log.
        """
        ...

    def changes_since(self, sequence: int) -> list[Change]:
        """The changes after `sequence`, ascending."""
        ...


class Writer(Reader, Protocol):
    """One transaction: its reads see its writes, which take effect at its end or not at all."""

    @property
    def touched(self) -> Mapping[str, date]:
        """Stocks that this transaction changed so far: the first day whose answers may differ."""
        ...

    @property
    def only_repriced(self) -> Set[str]:
        """Touched stocks that were known before and of which nothing but bars has changed."""
        ...

    def announced_since(self, bse_code: str, day: date) -> bool:
        """Whether a stock has results announced, or a label of an announcement, on or after `day`.

        Only recorded dates count: a filing limit announces nothing.
        """
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo what is written inside the block if it raises, and nothing else."""
        ...

    def put_prices(self, bars: Sequence[Bar]) -> Tally:
        """Insert or correct daily bars; a stock not yet known is entered into `stocks`."""
        ...

    def put_results(self, rows: Sequence[tuple[str, QuarterResult]]) -> Tally:
        """Insert or correct quarterly results; a missing figure does not erase a known one."""
        ...

    def put_actions(self, rows: Sequence[tuple[str, CorporateAction]]) -> Tally:
        """Insert or correct corporate actions."""
        ...

    def put_stocks(self, stocks: Sequence[Stock]) -> Tally:
        """Insert or correct listings; a missing field does not erase a known one."""
        ...

    def put_statics(self, rows: Sequence[tuple[str, StaticRow]]) -> Tally:
        """Insert or correct monthly stamps."""
        ...

    def put_predictions(self, rows: Sequence[DailyPrediction]) -> Tally:
        """Insert or replace stored predictions; they are answers, and touch no stock.

        One that says the same as the stored one is left as it is, its `created_at` included.
        """
        ...

    def drop_predictions(
        self, prediction_date: date, model_version: int, bse_codes: Sequence[str]
    ) -> int:
        """Take out the predictions of some stocks for a day by a version; how many there were."""
        ...

    def delete_prices(self, bse_code: str, first: date, last: date) -> int:
        """Take out a stock's bars dated `first` to `last`, both included; how many there were."""
        ...

    def replace_labels(self, bse_code: str, labels: Sequence[CircuitLabel]) -> Tally:
        """Make `labels` all the labels of a stock."""
        ...


class Store(Reader, Protocol):
    """A market database. Every method raises StoreError with what to do when it cannot answer."""

    @property
    def poll_interval_s(self) -> float:
        """How long a reader that is asked all the time may go on without asking for sequence().

        0 where asking costs next to nothing.
        """
        ...

    def transaction(self) -> AbstractContextManager[Writer]:
        """One atomic change; the change log is written with it."""
        ...

    def histories(self, bse_codes: Sequence[str] | None = None) -> Iterator[StockHistory]:
        """The histories of `bse_codes` (default: all), one at a time; unknown ones are skipped."""
        ...

    def columns(self, bse_codes: Sequence[str] | None = None) -> MarketColumns:
        """The columns of `bse_codes` (default: all), read in one pass as of one commit.

        Unknown codes are left out, codes given twice count once.
        """
        ...

    def close(self) -> None:
        """Let go of the database; closing twice does nothing."""
        ...
