"""Daily prices: CSV files with the columns of price_movements."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from operator import itemgetter

from preprocess.imports import cells
from preprocess.imports.duplicates import SeenDays
from preprocess.imports.refusal import Refusal, RowRefusedError, Rule
from preprocess.imports.table import CsvTable
from preprocess.market.values import Bar, Tally
from preprocess.store import Writer

COLUMNS = ("bse_code", "date", "open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class PriceImporter:
    """Files of prices as traded or, with `adjusted`, as their source adjusted them."""

    today: date
    adjusted: bool = False
    kind: str = "prices"

    def read(self, table: CsvTable) -> Iterator[Bar | Refusal | None]:
        """Bars of a file; see `Importer.read`."""
        pick = itemgetter(*table.indices(*COLUMNS))
        previous = table.index("prev_close")
        day_of = _day_reader(self.today)
        seen = SeenDays()

        def bar(row: list[str]) -> Bar:
            code, day, opening, high, low, close, volume = pick(row)
            return checked_bar(
                seen,
                code=code,
                day=day_of(day),
                prices=(opening, high, low, close),
                volume=volume,
                prev_close="" if previous is None else row[previous],
                adjusted=self.adjusted,
            )

        return table.parsed(bar)

    def write(self, writer: Writer, values: Sequence[Bar]) -> Tally:
        """Put bars into the store."""
        return writer.put_prices(values)


def checked_bar(
    seen: SeenDays,
    *,
    code: str,
    day: date,
    prices: tuple[str, str, str, str],
    volume: str,
    prev_close: str,
    adjusted: bool = False,
) -> Bar:
    """A bar from its cells; `prices` are open, high, low and close.

    Raises:
        RowRefusedError: it breaks a rule, or `seen` has its key.
    """
    code = cells.bse_code(code)
    opening = cells.price(prices[0], "open")
    high = cells.price(prices[1], "high")
    low = cells.price(prices[2], "low")
    close = cells.price(prices[3], "close")
    # A close outside the day's range is a close of some other day: 1 of 134,599 rows of the
    # exchange's own files of early 2015, a share whose close stayed at the day before's.
    if not low <= opening <= high or not low <= close <= high:
        raise RowRefusedError(Rule.RANGE, f"open {opening}, high {high}, low {low}, close {close}")
    shares = cells.volume(volume)
    before = cells.previous_close(prev_close)
    if not seen.add(code, day):
        raise RowRefusedError(Rule.DUPLICATE, f"{code} on {day}; the first row stays")
    return Bar(code, day, opening, high, low, close, shares, before, adjusted)


def _day_reader(today: date) -> Callable[[str], date]:
    # A file has few days and many rows; a day has one spelling, so the calendar is the bound.
    known: dict[str, date] = {}

    def day_of(text: str) -> date:
        day = known.get(text)
        if day is None:
            day = known[text] = cells.past_day(text, "date", today)
        return day

    return day_of
