"""Quarterly results: CSV files with the columns of historical_financials or of known sources."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from operator import itemgetter

from preprocess.errors import ImportRefusedError
from preprocess.imports import cells
from preprocess.imports.refusal import Refusal, RowRefusedError, Rule, shown
from preprocess.imports.table import CsvTable
from preprocess.market.calendar import FiscalQuarter
from preprocess.market.values import QuarterResult, Tally
from preprocess.store import Writer

# Each with the names that sources have for it.
COLUMNS = (
    "bse_code",
    "period_end",
    "revenue_cr",
    "pat_cr",
    "operating_profit_cr",
    ("eps", "eps_rs"),
)
ANNOUNCED = ("announced_on", "announce_date_proxy")

_YEAR = re.compile(r"(?:FY)?((?:19|20)[0-9]{2})")
_QUARTER = re.compile(r"Q?([1-4])")
_LABEL = re.compile(r"Q([1-4]) ?FY(?:20)?([0-9]{2})")

StockResult = tuple[str, QuarterResult]


@dataclass(frozen=True, slots=True)
class FinancialsImporter:
    """Files of quarterly results; an empty cell is a figure that was not reported."""

    today: date
    kind: str = "financials"

    def read(self, table: CsvTable) -> Iterator[StockResult | Refusal | None]:
        """Results of a file; None for a row without figures and without an announcement."""
        pick = itemgetter(*table.indices(*COLUMNS))
        quarter_of = _quarter_reader(table)
        announced = table.index(ANNOUNCED)
        seen: set[tuple[str, FiscalQuarter]] = set()

        def result(row: list[str]) -> StockResult | None:
            code, period_end, *figures = pick(row)
            quarter = quarter_of(row)
            value = self._result(
                quarter, period_end, "" if announced is None else row[announced], figures
            )
            key = (cells.bse_code(code), quarter)
            if key in seen:
                raise RowRefusedError(Rule.DUPLICATE, f"{code} {quarter}; the first row stays")
            seen.add(key)
            figures = (value.revenue_cr, value.pat_cr, value.operating_profit_cr, value.eps)
            if value.announced_on is None and all(map(math.isnan, figures)):
                return None
            return code, value

        return table.parsed(result)

    def _result(
        self, quarter: FiscalQuarter, period_end: str, announced: str, figures: Sequence[str]
    ) -> QuarterResult:
        ended = cells.past_day(period_end, "period_end", self.today)
        if ended != quarter.last_day:
            raise RowRefusedError(
                Rule.PERIOD, f"{quarter} ends on {quarter.last_day}, period_end is {ended}"
            )
        known = cells.past_day(announced, "announced_on", self.today) if announced else None
        if known is not None and known <= ended:
            raise RowRefusedError(
                Rule.PERIOD, f"announced_on is {known}, the quarter ended on {ended}"
            )
        revenue, pat, operating_profit, eps = figures
        return QuarterResult(
            quarter,
            ended,
            known,
            revenue_cr=cells.figure(revenue, "revenue_cr"),
            pat_cr=cells.figure(pat, "pat_cr"),
            operating_profit_cr=cells.figure(operating_profit, "operating_profit_cr"),
            eps=cells.figure(eps, "eps"),
        )

    def write(self, writer: Writer, values: Sequence[StockResult]) -> Tally:
        """Put results into the store."""
        return writer.put_results(values)


def _quarter_reader(table: CsvTable) -> Callable[[list[str]], FiscalQuarter]:
    year, quarter, label = (table.index(name) for name in ("fiscal_year", "quarter", "label"))
    if year is not None and quarter is not None:
        pick = itemgetter(year, quarter)
        return lambda row: _fiscal_quarter(*pick(row))
    if label is not None:
        return lambda row: _labelled_quarter(row[label])
    raise ImportRefusedError("missing columns: fiscal_year and quarter, or label (Q3FY25)")


def _fiscal_quarter(year: str, quarter: str) -> FiscalQuarter:
    found, which = _YEAR.fullmatch(year.upper()), _QUARTER.fullmatch(quarter.upper())
    if not found or not which:
        raise RowRefusedError(
            Rule.QUARTER, f"fiscal_year is {shown(year)}, quarter is {shown(quarter)}"
        )
    return FiscalQuarter(int(found[1]), int(which[1]))


def _labelled_quarter(label: str) -> FiscalQuarter:
    match = _LABEL.fullmatch(label.upper())
    if not match:
        raise RowRefusedError(Rule.QUARTER, f"label is {shown(label)}, not like Q3FY25")
    return FiscalQuarter(2000 + int(match[2]), int(match[1]))
