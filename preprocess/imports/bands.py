"""Price bands: how far a stock may move on the session after the day of the file."""

from collections.abc import Iterator, Sequence

from preprocess.imports import cells
from preprocess.imports.context import Context
from preprocess.imports.formats import Format
from preprocess.imports.prices import NSE_SERIES
from preprocess.imports.refusal import Refusal, RowRefusedError, Rule, shown
from preprocess.imports.table import CsvTable
from preprocess.market.values import PriceBand, Tally
from preprocess.store import Writer

BANDS = (2.0, 5.0, 10.0, 20.0, 40.0)


def read(table: CsvTable, form: Format, context: Context) -> Iterator[PriceBand | Refusal | None]:
    """The bands of a file, dated as the file is; None for what is no share."""
    day = context.day_in_name(form, "sec_list_DDMMYYYY.csv or eq_band_changes_DDMMYYYY.csv")
    pick = table.picked(*form.names("symbol", "series", "band"))
    seen: set[str] = set()

    def band(row: list[str]) -> PriceBand | None:
        symbol, series, text = pick(row)
        if series not in NSE_SERIES:
            return None
        percent = None if text.lower() == "no band" else _percent(text)
        code = context.codes.code(None, symbol, day)
        if code in seen:
            raise RowRefusedError(Rule.DUPLICATE, f"{code}; the first row stays")
        seen.add(code)
        return PriceBand(code, day, percent, "NSE")

    return table.parsed(band)


def _percent(text: str) -> float:
    try:
        percent = cells.number(text.removesuffix("%").strip())
    except ValueError:
        percent = 0.0
    if percent not in BANDS:
        raise RowRefusedError(Rule.BAND, f"the band is {shown(text)}")
    return percent


def write(writer: Writer, values: Sequence[PriceBand], _form: Format, _context: Context) -> Tally:
    """Put bands into the store."""
    return writer.put_bands(values)
