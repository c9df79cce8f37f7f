"""Rows of SQLite to the values of preprocess.market."""

import math
import sqlite3
from datetime import date

import numpy as np

from preprocess.calendar import FiscalQuarter
from preprocess.market import (
    CircuitLabel,
    CorporateAction,
    Prices,
    QuarterResult,
    StaticRow,
    StockHistory,
)

# Julian day of 1970-01-01; julianday() of a plain date is that of its midnight.
_PRICES = (
    "SELECT julianday(date) - 2440587.5, open, high, low, close, volume, adjusted"
    " FROM price_movements WHERE bse_code = ? ORDER BY date"
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


def read_history(connection: sqlite3.Connection, bse_code: str) -> StockHistory | None:
    """All that is stored of one stock; None when the stock is not known."""
    known = connection.execute("SELECT 1 FROM stocks WHERE bse_code = ?", (bse_code,)).fetchone()
    if known is None:
        return None
    key = (bse_code,)
    return StockHistory(
        bse_code=bse_code,
        prices=_prices(connection.execute(_PRICES, key).fetchall()),
        results=tuple(map(_result, connection.execute(_RESULTS, key))),
        actions=tuple(
            CorporateAction(date.fromisoformat(day), kind, ratio, subject)
            for day, kind, ratio, subject in connection.execute(_ACTIONS, key)
        ),
        labels=tuple(
            CircuitLabel(date.fromisoformat(day), date.fromisoformat(following), change, label)
            for day, following, change, label in connection.execute(_LABELS, key)
        ),
        statics=tuple(StaticRow(*row) for row in connection.execute(_STATICS, key)),
    )


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
