"""Rows of the tables as values of the market, in SQL that both databases understand.

Both databases return days as ISO text and figures as float or None.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

from preprocess.market.announcements import Announcements
from preprocess.market.calendar import FiscalQuarter
from preprocess.market.values import (
    Bar,
    Change,
    CircuitLabel,
    CorporateAction,
    DailyPrediction,
    Filing,
    Identity,
    Listing,
    Mark,
    PriceBand,
    QuarterResult,
    Span,
    StaticRow,
    Stock,
    StockHistory,
)
from preprocess.store.tables import TABLES, Table


@dataclass(frozen=True)
class StockQuery:
    """Rows of a stock that become values: columns of a table, in the order of `order`."""

    table: str
    columns: tuple[str, ...]
    order: tuple[str, ...]
    value: Callable[[Sequence[Any]], Any]

    @cached_property
    def select(self) -> str:
        """One stock's rows."""
        return (
            f"SELECT {', '.join(self.columns)} FROM {self.table}"  # noqa: S608 - names are constants
            f" WHERE bse_code = ? ORDER BY {', '.join(self.order)}"
        )


def _result(row: Sequence[Any]) -> QuarterResult:
    fiscal_year, quarter, period_end, announced_on, *figures, eps_as_of = row
    revenue, pat, operating_profit, eps = (
        math.nan if figure is None else figure for figure in figures
    )
    return QuarterResult(
        quarter=FiscalQuarter(fiscal_year, int(quarter[1])),
        period_end=date.fromisoformat(period_end),
        announced_on=date.fromisoformat(announced_on) if announced_on else None,
        revenue_cr=revenue,
        pat_cr=pat,
        operating_profit_cr=operating_profit,
        eps=eps,
        eps_as_of=date.fromisoformat(eps_as_of) if eps_as_of else None,
    )


def _bar(row: Sequence[Any]) -> Bar:
    code, day, opening, high, low, close, volume, previous, adjusted = row
    bar_day = date.fromisoformat(day)
    return Bar(code, bar_day, opening, high, low, close, volume, previous, bool(adjusted))


_BARS = (
    "SELECT bse_code, date, open, high, low, close, volume, prev_close, adjusted"
    " FROM price_movements WHERE bse_code = ?"
)
_BANDS = "SELECT bse_code, date, band, source FROM price_bands WHERE bse_code = ? ORDER BY date"
_FILINGS = (
    "SELECT basis, filed_at, revenue_cr, pat_cr, operating_profit_cr, eps FROM filings"
    " WHERE bse_code = ? AND period_end = ? ORDER BY filed_at, basis"
)


def _action(row: Sequence[Any]) -> CorporateAction:
    day, kind, ratio, subject = row
    return CorporateAction(date.fromisoformat(day), kind, ratio, subject)


def _label(row: Sequence[Any]) -> CircuitLabel:
    day, following, *outcome = row
    return CircuitLabel(date.fromisoformat(day), date.fromisoformat(following), *outcome)


def _static(row: Sequence[Any]) -> StaticRow:
    return StaticRow(*row)


RESULTS = StockQuery(
    "result_states",
    (
        "fiscal_year",
        "quarter",
        "period_end",
        "announced_on",
        "revenue_cr",
        "pat_cr",
        "operating_profit_cr",
        "eps",
        "eps_as_of",
    ),
    ("fiscal_year", "quarter", "announced_on"),
    _result,
)
ACTIONS = StockQuery(
    "corporate_actions",
    ("ex_date", "kind", "ratio", "subject"),
    ("ex_date", "kind"),
    _action,
)
LABELS = StockQuery(
    "upper_circuit_labels",
    ("earnings_date", "next_day_date", "price_change_pct", "label", "upper_circuit"),
    ("earnings_date",),
    _label,
)
STATICS = StockQuery(
    "static_features",
    ("month", "sector", "sector_code", "market_cap_cr", "market_cap_tier"),
    ("month",),
    _static,
)

_IDENTITIES = (
    "SELECT bse_code, valid_from, isin, nse_symbol FROM identities ORDER BY bse_code, valid_from"
)
LISTED_STOCKS = (
    "SELECT bse_code, nse_symbol, company_name, isin, industry, status, price_exchange"
    " FROM stocks ORDER BY bse_code"
)
# Of the states of a quarter the first; a restatement announces nothing.
ANNOUNCEMENTS = (
    "SELECT bse_code, min(announced_on) FROM result_states WHERE announced_on IS NOT NULL"
    " GROUP BY bse_code, fiscal_year, quarter"
)
EXCHANGE_CALENDAR = "SELECT source, days FROM exchange_calendar"
# A seek for each stock: a GROUP BY would read every price row.
LISTINGS = (
    "SELECT * FROM ("
    "  SELECT bse_code, nse_symbol, company_name, isin, industry, status, price_exchange, ("
    "    SELECT max(date) FROM price_movements p WHERE p.bse_code = s.bse_code) AS newest"
    "  FROM stocks s) listed"
    " WHERE newest IS NOT NULL ORDER BY bse_code"
)
SECTOR_CODES = "SELECT name, code FROM sectors"
STAMPED_MONTHS = "SELECT DISTINCT month FROM static_features"
DAILY_PREDICTIONS = (
    "SELECT bse_code, predicted_label, probability, confidence, variant, created_at"
    " FROM daily_predictions WHERE prediction_date = ? AND model_version = ? ORDER BY bse_code"
)
PRICE_DAYS = (
    "SELECT min(first_day), max(last_day) FROM (SELECT"
    " (SELECT min(date) FROM price_movements p WHERE p.bse_code = s.bse_code) AS first_day,"
    " (SELECT max(date) FROM price_movements p WHERE p.bse_code = s.bse_code) AS last_day"
    " FROM stocks s) ends"
)
NEWEST_MARK = "SELECT sequence, token FROM change_log ORDER BY sequence DESC LIMIT 1"
CHANGES_SINCE = (
    "SELECT sequence, bse_code, date FROM change_log WHERE sequence > ? ORDER BY sequence"
)


class Reader(ABC):
    """The reads that a store and a transaction have in common.

    Those of a transaction see its own writes.
    """

    @abstractmethod
    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> Iterable[tuple[Any, ...]]:
        """The rows of a statement with a question mark for each parameter."""

    def _row(self, sql: str, parameters: Sequence[object] = ()) -> tuple[Any, ...] | None:
        return next(iter(self._rows(sql, parameters)), None)

    def codes_in(self, table: Table) -> list[str]:
        """The codes that have a row in a table, ascending."""
        sql = f"SELECT DISTINCT bse_code FROM {table.name} ORDER BY bse_code"  # noqa: S608 - names are constants
        return [code for (code,) in self._rows(sql)]

    def rows_between(self, table: Table, first: str, last: str) -> list[tuple[Any, ...]]:
        """The rows of stocks from `first` to `last`, in the order of the table's key.

        Columns come in the table's order, dates as text, so that `append_rows` takes them.
        """
        sql = (
            f"SELECT {', '.join(table.columns)} FROM {table.name}"  # noqa: S608 - names are constants
            f" WHERE bse_code BETWEEN ? AND ? ORDER BY {', '.join(table.key)}"
        )
        return list(self._rows(sql, (first, last)))

    def count(self, table: Table) -> int:
        """Number of rows of a table."""
        return self._number(f"SELECT count(*) FROM {table.name}")  # noqa: S608 - names are constants

    def _number(self, sql: str) -> int:
        return int(next(iter(self._rows(sql)))[0])

    @abstractmethod
    def history(self, bse_code: str) -> StockHistory | None:
        """All that is stored of one stock; None when the stock is not known."""

    def bar_before(self, bse_code: str, day: date) -> Bar | None:
        """A stock's newest bar before a day."""
        row = self._row(f"{_BARS} AND date < ? ORDER BY date DESC LIMIT 1", (bse_code, str(day)))
        return _bar(row) if row else None

    def bars_on(self, day: date, bse_codes: Iterable[str]) -> list[Bar]:
        """The bars of some stocks on a day."""
        rows = (self._row(f"{_BARS} AND date = ?", (code, str(day))) for code in bse_codes)
        return [_bar(row) for row in rows if row]

    def actions_of(self, bse_code: str) -> list[CorporateAction]:
        """A stock's corporate actions."""
        return [_action(row) for row in self._rows(ACTIONS.select, (bse_code,))]

    def bands_of(self, bse_code: str) -> list[PriceBand]:
        """A stock's price bands, ascending by day."""
        return [
            PriceBand(code, date.fromisoformat(day), percent, source)
            for code, day, percent, source in self._rows(_BANDS, (bse_code,))
        ]

    def filings_of(self, bse_code: str, period_end: date) -> list[Filing]:
        """The filings of a quarter, as they follow one another."""
        rows = self._rows(_FILINGS, (bse_code, period_end.isoformat()))
        return [
            Filing(
                bse_code,
                period_end,
                basis,
                filed_at,
                *(math.nan if figure is None else figure for figure in figures),
            )
            for basis, filed_at, *figures in rows
        ]

    def bse_codes(self) -> list[str]:
        """The codes of all stocks, ascending."""
        rows = self._rows("SELECT bse_code FROM stocks ORDER BY bse_code")
        return [code for (code,) in rows]

    def stocks(self) -> list[Stock]:
        """All stocks, ascending by code."""
        return [Stock(*row) for row in self._rows(LISTED_STOCKS)]

    def identities(self) -> list[Identity]:
        """What stocks were called from which day on, ascending by code and day."""
        return [
            Identity(code, date.fromisoformat(day), isin, symbol)
            for code, day, isin, symbol in self._rows(_IDENTITIES)
        ]

    def listings(self) -> list[Listing]:
        """The stocks that have a price, ascending by code."""
        rows = self._rows(LISTINGS)
        return [Listing(Stock(*row[:-1]), date.fromisoformat(row[-1])) for row in rows]

    def announcements(self) -> Announcements:
        """The days on which stocks announced results."""
        return Announcements(self._rows(ANNOUNCEMENTS))

    def exchange_calendar(self) -> tuple[str, list[date]]:
        """The release that the exchange's calendar is of, and its sessions; empty before both."""
        source, days = self._row(EXCHANGE_CALENDAR) or ("", "")
        return source, [date.fromisoformat(day) for day in days.split(",") if day]

    def sector_codes(self) -> dict[str, int]:
        """The integer code of every sector; one that was given is never given to another."""
        return dict(self._rows(SECTOR_CODES))

    def stamped_months(self) -> set[str]:
        """The months for which static features have been computed."""
        return {month for (month,) in self._rows(STAMPED_MONTHS)}

    def predictions(self, prediction_date: date, model_version: int) -> list[DailyPrediction]:
        """The stored predictions of a day by a version, ascending by code."""
        rows = self._rows(DAILY_PREDICTIONS, (prediction_date.isoformat(), model_version))
        return [
            DailyPrediction(
                code,
                prediction_date,
                model_version,
                label,
                probability,
                confidence,
                variant,
                datetime.fromisoformat(created_at),
            )
            for code, label, probability, confidence, variant, created_at in rows
        ]

    def price_days(self) -> tuple[date, date] | None:
        """The first and the last day of all prices; None without prices."""
        first, last = self._row(PRICE_DAYS) or (None, None)
        return (date.fromisoformat(first), date.fromisoformat(last)) if first else None

    def span(self) -> Span:
        """Row counts of all tables, and the range of price days."""
        counts = {table.name: self.count(table) for table in TABLES}
        first, last = self.price_days() or (None, None)
        return Span(counts["stocks"], counts["price_movements"], first, last, counts)

    def mark(self) -> Mark:
        """The newest entry of the change log."""
        newest = self._row(NEWEST_MARK)
        return Mark(*newest) if newest else Mark()

    def has_mark(self, mark: Mark) -> bool:
        """Whether the change log contains this entry, so that data read at it is of this store.

        The mark of an empty log is in every log.
        """
        query = "SELECT 1 FROM change_log WHERE sequence = ? AND token = ?"
        return mark == Mark() or self._row(query, (mark.sequence, mark.token)) is not None

    def changes_since(self, sequence: int) -> list[Change]:
        """The changes after `sequence`, ascending."""
        rows = self._rows(CHANGES_SINCE, (sequence,))
        return [Change(number, code, date.fromisoformat(day)) for number, code, day in rows]
