"""The stock list: codes with their symbols, names, ISINs and industries."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from preprocess.errors import ImportRefusedError
from preprocess.imports import cells
from preprocess.imports.refusal import Refusal, RowRefusedError, Rule, shown
from preprocess.imports.table import CsvTable
from preprocess.market.values import ACTIVE, Stock, Tally
from preprocess.store import Writer

# Fields of Stock, each with the names that sources have for it. The exchange's own ticker is
# not used: it is not the NSE symbol (BSE's AMARAJABAT is ARE&M on NSE).
COLUMNS = {
    "nse_symbol": ("nse_symbol",),
    "company_name": ("company_name", "name"),
    "isin": ("isin", "isin_2020"),
    "industry": ("industry",),
    "status": ("status",),
}

_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")


@dataclass(frozen=True, slots=True)
class StockImporter:
    """Files of stocks; an empty cell erases nothing."""

    kind: str = "stocks"

    def read(self, table: CsvTable) -> Iterator[Stock | Refusal | None]:
        """Stocks of a file; the status is "" where none is given."""
        code_index = table.indices("bse_code")[0]
        indices = {field: table.index(names) for field, names in COLUMNS.items()}
        given = {field: index for field, index in indices.items() if index is not None}
        if not given:
            raise ImportRefusedError(
                "it has bse_code and no other column of a stock list: " + ", ".join(COLUMNS)
            )
        seen: set[str] = set()

        def stock(row: list[str]) -> Stock:
            code = cells.bse_code(row[code_index])
            values = {field: row[index] or None for field, index in given.items()}
            isin, status = values.get("isin"), values.pop("status", None)
            if isin is not None and not _ISIN.fullmatch(isin):
                raise RowRefusedError(Rule.ISIN, f"isin is {shown(isin)}")
            if code in seen:
                raise RowRefusedError(Rule.DUPLICATE, f"{code}; the first row stays")
            seen.add(code)
            return Stock(code, **values, status=(status or "").lower())

        return table.parsed(stock)

    def write(self, writer: Writer, values: Sequence[Stock]) -> Tally:
        """Put stocks into the store; where no status is given, the known one stays."""
        known = {stock.bse_code: stock.status for stock in writer.stocks()}
        return writer.put_stocks(
            [
                replace(stock, status=stock.status or known.get(stock.bse_code, ACTIVE))
                for stock in values
            ]
        )
