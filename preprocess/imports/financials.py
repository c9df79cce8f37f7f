"""Quarterly results as tables: the columns of historical_financials, or of known sources."""

import math
import re
from collections.abc import Iterator, Sequence
from datetime import date

from preprocess.errors import ImportRefusedError
from preprocess.imports import cells
from preprocess.imports.context import Context
from preprocess.imports.formats import Format
from preprocess.imports.refusal import Refusal, RowRefusedError, Rule, shown
from preprocess.imports.table import CsvTable
from preprocess.imports.units import CRORES_IN, unit_of, without_unit
from preprocess.market.calendar import FiscalQuarter
from preprocess.market.values import QuarterResult, Tally
from preprocess.store import Writer

MONEY = ("revenue", "pat", "operating_profit")

_YEAR = re.compile(r"(?:FY ?)?(?:((?:19|20)[0-9]{2})|((?:19|20)[0-9]{2})-([0-9]{2}))(?:\.0)?")
_QUARTER = re.compile(r"Q?([1-4])(?:\.0)?")
_LABEL = re.compile(r"Q([1-4]) ?FY(?:20)?([0-9]{2})")

StockResult = tuple[str, QuarterResult]


def read(table: CsvTable, form: Format, context: Context) -> Iterator[StockResult | Refusal | None]:
    """Results of a file; None for a row without figures and without an announcement.

    An empty cell is a figure that was not reported.
    """
    by_field = {
        each: next((name for name in table.names if _is(name, form, each)), None)
        for each in (*form.columns, *form.optional)
    }
    lacks = [each for each in (*MONEY, "eps") if by_field[each] is None]
    if lacks or not any(by_field[each] for each in ("code", "isin", "symbol")):
        lacks += [] if any(by_field[each] for each in ("code", "isin", "symbol")) else ["bse_code"]
        raise ImportRefusedError(f"missing columns: {', '.join(lacks)}")
    units = {each: unit_of(by_field[each] or "") or context.unit for each in MONEY}
    if by_field["unit"] is None and None in units.values():
        raise ImportRefusedError(
            "its figures are in no stated unit: name it in the header, such as revenue_lakh, or"
            f" with --unit {', '.join(CRORES_IN)}"
        )
    names = ("code", "isin", "symbol", "day", "year", "quarter", "label", "announced", "unit")
    pick = table.picked(*(by_field[each] for each in (*names, *MONEY, "eps")))
    seen: dict[tuple[str, date], set[date | None]] = {}

    def result(row: list[str]) -> StockResult | None:
        code, isin, symbol, day, year, quarter, label, announced, unit, *figures = pick(row)
        ended = cells.past_day(day, "period_end", context.today)
        _check_label(ended, year, quarter, label)
        known = None
        if not cells.missing(announced):
            known, _ = cells.past_moment(announced, "announced_on", context.today)
            if known <= ended:
                raise RowRefusedError(
                    Rule.PERIOD, f"announced_on is {known}, the quarter ended on {ended}"
                )
        revenue, pat, operating_profit = (
            cells.figure(text, each) * _crores(unit, units[each])
            for each, text in zip(MONEY, figures, strict=False)
        )
        eps = cells.figure(figures[-1], "eps")
        # Tables of results name companies as they are called today.
        if not code:
            code = context.codes.code(cells.isin(isin), symbol, context.today)
        code = cells.bse_code(code)
        days = seen.setdefault((code, ended), set())
        if days and (known is None or not days.isdisjoint({known, None})):
            raise RowRefusedError(Rule.DUPLICATE, f"{code} {ended}; the first row stays")
        days.add(known)
        if known is None and all(map(math.isnan, (revenue, pat, operating_profit, eps))):
            return None
        reported = FiscalQuarter.of(ended)
        figures_cr = revenue, pat, operating_profit
        # Sources of such tables restate EPS for later splits and bonuses.
        stated = None if math.isnan(eps) else context.today
        return code, QuarterResult(reported, ended, known, *figures_cr, eps, stated)

    return table.parsed(result)


def write(writer: Writer, values: Sequence[StockResult], _form: Format, _context: Context) -> Tally:
    """Put results into the store."""
    return writer.put_results(values)


def _is(name: str, form: Format, each: str) -> bool:
    names = {**form.columns, **form.optional}[each]
    return name in names or without_unit(name) in names


def _crores(unit: str, stated: str | None) -> float:
    named = unit_of(unit) if unit else stated
    if named is None:
        raise RowRefusedError(Rule.NUMBER, f"unit is {shown(unit)}, not {', '.join(CRORES_IN)}")
    return CRORES_IN[named]


def _check_label(ended: date, year: str, quarter: str, label: str) -> None:
    """Refuse a period that is no quarter, and a label that no fiscal year gives to it.

    The label is the company's own: to one whose year ends in December, January to March is Q1.
    """
    if ended != FiscalQuarter.of(ended).last_day:
        raise RowRefusedError(Rule.PERIOD, f"period_end is {ended}, not the end of a quarter")
    if label:
        match = _LABEL.fullmatch(label.upper())
        if not match:
            raise RowRefusedError(Rule.QUARTER, f"label is {shown(label)}, not like Q3FY25")
        year, quarter = f"20{match[2]}", match[1]
    if not year or not quarter:
        return  # period_end says it all
    found, which = _YEAR.fullmatch(year.upper()), _QUARTER.fullmatch(quarter.upper())
    if not found or not which:
        raise RowRefusedError(
            Rule.QUARTER, f"fiscal_year is {shown(year)}, quarter is {shown(quarter)}"
        )
    fiscal = int(found[1] or found[2]) + (found[1] is None)
    months = ended.year * 12 + ended.month - 1 + 3 * (4 - int(which[1]))
    if months // 12 != fiscal:
        raise RowRefusedError(
            Rule.PERIOD, f"Q{which[1]} FY{fiscal} does not end on {ended}, its period_end"
        )
