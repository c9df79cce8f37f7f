"""What the readers of an import share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from preprocess.errors import ImportRefusedError
from preprocess.imports.formats import BSE, Format
from preprocess.imports.identity import Codes
from preprocess.store import Writer


@dataclass(slots=True)
class Context:
    """One import's settings and knowledge, and what belongs to the file that is being read."""

    today: date
    codes: Codes
    adjusted: bool = False
    unit: str | None = None
    file_name: str = ""
    note: Callable[[str], None] = lambda _text: None
    price_exchange: str = BSE  # whose prices are taken of stocks that are on both
    second: set[str] = field(default_factory=set)  # stocks of this file with bars of the other
    other_prices: int = 0  # those left out of this file
    quarters: set[tuple[str, date]] = field(default_factory=set)  # those with a new filing
    days: set[date] = field(default_factory=set)  # those with a price in this import

    def takes_prices(self, bse_code: str, exchange: str) -> bool:
        """Whether a bar of an exchange belongs to a stock's series; it may turn to that exchange.

        A series turns once: from the other exchange to the one whose prices are preferred.
        """
        of_series = self.codes.known(bse_code).price_exchange
        if of_series not in (None, exchange) and exchange != self.price_exchange:
            self.other_prices += 1
            return False
        if of_series is None and exchange != self.price_exchange:
            self.second.add(bse_code)
        return True

    def keep_learned(self, writer: Writer) -> None:
        """Store what rows have told of stocks since the last call."""
        stocks, identities = self.codes.learned()
        if stocks:
            writer.put_stocks(stocks)
        if identities:
            writer.put_identities(identities)

    def day_in_name(self, form: Format, pattern: str) -> date:
        """The day of a file whose rows have none.

        Raises:
            ImportRefusedError: its name, which should be like `pattern`, has no past day.
        """
        day = form.day_of(self.file_name)
        if day is None:
            raise ImportRefusedError(f"its day is read from its name, which must be {pattern}")
        if day > self.today:
            raise ImportRefusedError(f"its name says {day}, which has not come yet")
        return day
