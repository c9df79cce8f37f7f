"""Lists of stocks: codes with their symbols, names, ISINs and industries."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from preprocess.errors import ImportRefusedError
from preprocess.imports import cells
from preprocess.imports.context import Context
from preprocess.imports.formats import NSE, Format
from preprocess.imports.refusal import Refusal, RowRefusedError, Rule
from preprocess.imports.table import CsvTable
from preprocess.market.values import Stock, Tally
from preprocess.store import Writer

FIELDS = ("code", "symbol", "name", "isin", "industry", "status", "instrument")


def read(table: CsvTable, form: Format, context: Context) -> Iterator[Stock | Refusal | None]:
    """Stocks of a file; the status is "" where none is given. An empty cell erases nothing.

    BSE's own ticker is not used: it is not the NSE symbol (BSE's AMARAJABAT is ARE&M on NSE).
    """
    if not any(table.index(name) is not None for name in form.names(*FIELDS[1:]) if name):
        raise ImportRefusedError("it has bse_code and no other column of a stock list")
    pick = table.picked(*form.names(*FIELDS))
    seen: set[str] = set()

    def stock(row: list[str]) -> Stock | None:
        code, symbol, name, isin, industry, status, instrument = pick(row)
        if instrument.lower() not in ("", "equity"):
            return None
        number = cells.isin(isin)
        if form.exchange == NSE:
            code = context.codes.code(number, symbol, context.today)
        code = cells.bse_code(code)
        if code in seen:
            raise RowRefusedError(Rule.DUPLICATE, f"{code}; the first row stays")
        seen.add(code)
        fields = [None if cells.missing(cell) else cell for cell in (symbol, name, industry)]
        return Stock(code, fields[0], fields[1], number, fields[2], status.lower())

    return table.parsed(stock)


def write(writer: Writer, values: Sequence[Stock], form: Format, context: Context) -> Tally:
    """Put stocks into the store; where no status is given, the known one stays.

    NSE's list gives a name only to a stock that has none, so that the order of lists is no matter.
    """
    stocks = []
    for stock in values:
        known = context.codes.known(stock.bse_code)
        if form.exchange == NSE:
            stock = replace(  # noqa: PLW2901
                stock,
                company_name=known.company_name or stock.company_name,
                isin=known.isin or stock.isin,
            )
        stock = replace(stock, status=stock.status or known.status)  # noqa: PLW2901
        context.codes.add(stock)
        stocks.append(stock)
    tally = writer.put_stocks(stocks)
    context.keep_learned(writer)
    return tally
