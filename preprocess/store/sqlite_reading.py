"""Rows of SQLite to the values of preprocess.market."""

import math
import sqlite3
from datetime import date

import numpy as np

from preprocess.calendar import FiscalQuarter
from preprocess.market import (
    Change,
    CircuitLabel,
    CorporateAction,
    DailyPrediction,
    Listing,
    Mark,
    Prices,
    QuarterResult,
    Span,
    StaticRow,
    Stock,
    StockHistory,
)
from preprocess.store.packs import PriceRow
from preprocess.store.sqlite_predictions import read_predictions

# Julian day of 1970-01-01; julianday() of a plain date is that of its midnight.
_PRICES = (
    "SELECT julianday(date) - 2440587.5, open, high, low, close, volume, adjusted"
    " FROM price_movements WHERE bse_code = ? ORDER BY date"
)
_PRICE_ROWS = (
    "SELECT julianday(date) - 2440587.5, adjusted, open, close, volume"
    " FROM price_movements WHERE bse_code = ? AND date >= ? AND date < ? ORDER BY date"
)
_RESULTS = (
    "SELECT fiscal_year, quarter, period_end, announced_on,"
    " revenue_cr, pat_cr, operating_profit_cr, eps"
    " FROM historical_financials WHERE bse_code = ? ORDER BY fiscal_year, quarter"
)
_ACTIONS = (
    "SELECT ex_date, kind, ratio, subject FROM corporate_actions"
    " WHERE bse_code = ? ORDER BY ex_date, kind"
)
_LABELS = (
    "SELECT earnings_date, next_day_date, price_change_pct, label FROM upper_circuit_labels"
    " WHERE bse_code = ? ORDER BY earnings_date"
)
_STATICS = (
    "SELECT month, sector, sector_code, market_cap_cr, market_cap_tier FROM static_features"
    " WHERE bse_code = ? ORDER BY month"
)


_TABLES = (
    "stocks",
    "price_movements",
    "historical_financials",
    "corporate_actions",
    "upper_circuit_labels",
    "static_features",
    "daily_predictions",
)


class SQLiteReader:
    """The reads of one connection; inside a transaction they see its own writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def history(self, bse_code: str) -> StockHistory | None:
        """All that is stored of one stock; None when the stock is not known."""
        query, key = self._connection.execute, (bse_code,)
        if query("SELECT 1 FROM stocks WHERE bse_code = ?", key).fetchone() is None:
            return None
        return StockHistory(
            bse_code=bse_code,
            prices=_prices(query(_PRICES, key).fetchall()),
            results=self.results(bse_code),
            actions=self.actions(bse_code),
            labels=self.labels(bse_code),
            statics=self.statics(bse_code),
        )

    def price_rows(self, bse_code: str, year: int) -> list[PriceRow]:
        """The bars of a calendar year as a pack holds them."""
        span = (bse_code, f"{year:04d}-", f"{year + 1:04d}-")
        return self._connection.execute(_PRICE_ROWS, span).fetchall()

    def results(self, bse_code: str) -> tuple[QuarterResult, ...]:
        """Quarterly results, ascending by quarter."""
        return tuple(map(_result, self._connection.execute(_RESULTS, (bse_code,))))

    def actions(self, bse_code: str) -> tuple[CorporateAction, ...]:
        """Corporate actions, ascending by ex-date."""
        return tuple(
            CorporateAction(date.fromisoformat(day), kind, ratio, subject)
            for day, kind, ratio, subject in self._connection.execute(_ACTIONS, (bse_code,))
        )

    def labels(self, bse_code: str) -> tuple[CircuitLabel, ...]:
        """Labels, ascending by announcement."""
        return tuple(
            CircuitLabel(date.fromisoformat(day), date.fromisoformat(following), change, label)
            for day, following, change, label in self._connection.execute(_LABELS, (bse_code,))
        )

    def statics(self, bse_code: str) -> tuple[StaticRow, ...]:
        """Monthly stamps, ascending by month."""
        return tuple(StaticRow(*row) for row in self._connection.execute(_STATICS, (bse_code,)))

    def bse_codes(self) -> list[str]:
        """The codes of all stocks, ascending."""
        rows = self._connection.execute("SELECT bse_code FROM stocks ORDER BY bse_code")
        return [code for (code,) in rows]

    def stocks(self) -> list[Stock]:
        """All stocks, ascending by code."""
        rows = self._connection.execute(
            "SELECT bse_code, nse_symbol, company_name, isin, industry, status"
            " FROM stocks ORDER BY bse_code"
        )
        return [Stock(*row) for row in rows]

    def listings(self) -> list[Listing]:
        """The stocks that have a price, ascending by code."""
        # A seek for each stock: a GROUP BY would read every price row.
        rows = self._connection.execute(
            "SELECT bse_code, nse_symbol, company_name, isin, industry, status, ("
            "  SELECT max(date) FROM price_movements p WHERE p.bse_code = s.bse_code) newest"
            " FROM stocks s WHERE newest IS NOT NULL ORDER BY bse_code"
        )
        return [Listing(Stock(*row[:-1]), date.fromisoformat(row[-1])) for row in rows]

    def sector_codes(self) -> dict[str, int]:
        """The integer code of every sector that was ever stamped."""
        rows = self._connection.execute(
            "SELECT sector, min(sector_code) FROM static_features"
            " WHERE sector IS NOT NULL AND sector_code IS NOT NULL GROUP BY sector"
        )
        return dict(rows.fetchall())

    def stamped_months(self) -> set[str]:
        """The months for which static features have been computed."""
        # Skips from month to month over one stock at a time: few stocks, few months.
        rows = self._connection.execute("SELECT DISTINCT month FROM static_features")
        return {month for (month,) in rows}

    def predictions(self, prediction_date: date, model_version: int) -> list[DailyPrediction]:
        """The stored predictions of a day by a version, ascending by code."""
        return read_predictions(self._connection, prediction_date, model_version)

    def price_days(self) -> tuple[date, date] | None:
        """The first and the last day that any price is dated; None when there is none."""
        first, last = self._connection.execute(
            "SELECT min(first), max(last) FROM (SELECT"
            " (SELECT min(date) FROM price_movements p WHERE p.bse_code = s.bse_code) first,"
            " (SELECT max(date) FROM price_movements p WHERE p.bse_code = s.bse_code) last"
            " FROM stocks s)"
        ).fetchone()
        return (date.fromisoformat(first), date.fromisoformat(last)) if first else None

    def span(self) -> Span:
        """How much is stored, table by table."""
        counts = {
            table: int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - names are constants
            for table in _TABLES
        }
        first, last = self.price_days() or (None, None)
        return Span(counts["stocks"], counts["price_movements"], first, last, counts)

    def sequence(self) -> int:
        """Number of the newest change; 0 when nothing was ever written."""
        query = "SELECT coalesce(max(sequence), 0) FROM change_log"
        return int(self._connection.execute(query).fetchone()[0])

    def mark(self) -> Mark:
        """The newest entry of the change log."""
        newest = self._connection.execute(
            "SELECT sequence, token FROM change_log ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        return Mark(*newest) if newest else Mark()

    def has_mark(self, mark: Mark) -> bool:
        """Whether the change log holds this very entry."""
        if mark == Mark():
            return True
        query = "SELECT 1 FROM change_log WHERE sequence = ? AND token = ?"
        return self._connection.execute(query, (mark.sequence, mark.token)).fetchone() is not None

    def changes_since(self, sequence: int) -> list[Change]:
        """The changes after `sequence`, ascending."""
        rows = self._connection.execute(
            "SELECT sequence, bse_code, date FROM change_log WHERE sequence > ? ORDER BY sequence",
            (sequence,),
        )
        return [Change(number, code, date.fromisoformat(day)) for number, code, day in rows]


def _prices(rows: list[tuple[float, ...]]) -> Prices:
    if not rows:
        return Prices.empty()
    columns = np.array(rows, dtype=np.float64).T.copy()
    return Prices(
        days=columns[0].astype(np.int32),
        open=columns[1],
        high=columns[2],
        low=columns[3],
        close=columns[4],
        volume=columns[5],
        adjusted=columns[6].astype(np.bool_),
    )


def _result(row: tuple[int, str, str, str | None, *tuple[float | None, ...]]) -> QuarterResult:
    fiscal_year, quarter, period_end, announced_on, *figures = row
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
    )
