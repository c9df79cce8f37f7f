"""The Bombay Stock Exchange's own daily files, EQddmmyy.CSV: one day, every scrip that traded."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from operator import itemgetter

from preprocess.errors import ImportRefusedError
from preprocess.imports.duplicates import SeenDays
from preprocess.imports.prices import checked_bar
from preprocess.imports.refusal import Refusal
from preprocess.imports.table import CsvTable
from preprocess.market.values import Bar, Tally
from preprocess.store import Writer

COLUMNS = (
    "sc_code",
    "sc_name",
    "sc_type",
    "open",
    "high",
    "low",
    "close",
    "prevclose",
    "no_of_shrs",
)
EQUITY = "Q"

_FILE_NAME = re.compile(r"EQ(\d{2})(\d{2})(\d{2})\.CSV(\.GZ)?", re.IGNORECASE | re.ASCII)

NamedBar = tuple[Bar, str]


@dataclass(frozen=True, slots=True)
class BhavcopyImporter:
    """Bhavcopies: equities only. Prices are as traded."""

    today: date
    kind: str = "bhavcopy"

    def read(self, table: CsvTable) -> Iterator[NamedBar | Refusal | None]:
        """Bars of a day, each with the scrip's name; None for debt and other types."""
        day = bhavcopy_day(table.file_name)
        if day > self.today:
            raise ImportRefusedError(f"its name says {day}, which has not come yet")
        pick = itemgetter(*table.indices(*COLUMNS))
        seen = SeenDays()

        def bar(row: list[str]) -> NamedBar | None:
            code, name, kind, opening, high, low, close, previous, shares = pick(row)
            if kind != EQUITY:
                return None
            prices = (opening, high, low, close)
            checked = checked_bar(
                seen, code=code, day=day, prices=prices, volume=shares, prev_close=previous
            )
            return checked, name

        return table.parsed(bar)

    def write(self, writer: Writer, values: Sequence[NamedBar]) -> Tally:
        """Put bars into the store, and names of stocks that have none.

        A bhavcopy cuts names to 12 characters, so a name from any other source is better.
        """
        tally = writer.put_prices([bar for bar, _ in values])
        names = {bar.bse_code: name for bar, name in values if name}
        writer.put_stocks(
            [
                replace(stock, company_name=names[stock.bse_code])
                for stock in writer.stocks()
                if stock.company_name is None and stock.bse_code in names
            ]
        )
        return tally


def bhavcopy_day(file_name: str) -> date:
    """The day of a bhavcopy, which only its name contains.

    Raises:
        ImportRefusedError: the name is not of the form EQddmmyy.CSV.
    """
    match = _FILE_NAME.fullmatch(file_name)
    try:
        if match:
            return date(2000 + int(match[3]), int(match[2]), int(match[1]))
    except ValueError:
        pass
    raise ImportRefusedError(
        "the day of a bhavcopy is read from its name, which must be EQddmmyy.CSV"
    )
