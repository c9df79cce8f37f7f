"""The naive way, the baseline of every ratio: connect, pandas.read_sql, rolling windows, pickle.

One stock at a time, each indicator by pandas, as a first version of such a service is written.
"""

import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def naive_features(database: Path, code: str, day: str) -> list[float]:
    """The 25 features of one stock; exponential averages start as pandas starts them."""
    with closing(sqlite3.connect(database)) as connection:
        prices = pd.read_sql_query(
            "SELECT * FROM price_movements WHERE bse_code = ? AND date <= ? ORDER BY date",
            connection,
            params=(code, day),
        )
        results = pd.read_sql_query(
            "SELECT * FROM historical_financials WHERE bse_code = ? AND announced_on <= ?"
            " ORDER BY fiscal_year, quarter",
            connection,
            params=(code, day),
        )
        labels = pd.read_sql_query(
            "SELECT * FROM upper_circuit_labels WHERE bse_code = ? AND next_day_date <= ?",
            connection,
            params=(code, day),
        )
        static = pd.read_sql_query(
            "SELECT * FROM static_features WHERE bse_code = ? AND month <= ? ORDER BY month",
            connection,
            params=(code, day[:7]),
        )
    last = static.iloc[-1] if len(static) else {"sector_code": np.nan, "market_cap_tier": np.nan}
    rate = labels.label.mean() if len(labels) else np.nan
    values = [
        *_technical(prices),
        *_financial(results),
        *_event(prices, day),
        rate,
        last["sector_code"],
        last["market_cap_tier"],
    ]
    return [float("nan") if value is None else float(value) for value in values]


def naive_probability(model_file: Path, values: list[float]) -> float:
    """The pickled model's probability for one row."""
    with model_file.open("rb") as file:
        model = pickle.load(file)  # our own file, written by `tezi train`
    return float(model.predict_proba(np.array([values], dtype=np.float32))[0, 1])


def _technical(prices: pd.DataFrame) -> list[Any]:
    close, volume = prices.close, prices.volume
    change = close.diff()
    gain = change.clip(lower=0).ewm(alpha=1 / 14, adjust=False).mean()
    loss = (-change.clip(upper=0)).ewm(alpha=1 / 14, adjust=False).mean()
    line = close.ewm(span=12, adjust=False).mean() - close.ewm(span=26, adjust=False).mean()
    signal = line.ewm(span=9, adjust=False).mean()
    middle = close.rolling(20).mean()
    deviation = close.rolling(20).std(ddof=0)
    upper, lower = middle + 2 * deviation, middle - 2 * deviation
    ratio = volume / volume.shift(1).rolling(30).mean()
    last = -1
    return [
        (100 - 100 / (1 + gain / loss)).iloc[last],
        line.iloc[last],
        signal.iloc[last],
        (line - signal).iloc[last],
        upper.iloc[last],
        middle.iloc[last],
        lower.iloc[last],
        ((close - lower) / (upper - lower)).iloc[last],
        ratio.iloc[last],
        float(ratio.iloc[last] > 2),
        *[(close.pct_change(rows) * 100).iloc[last] for rows in (5, 10, 30)],
    ]


def _financial(results: pd.DataFrame) -> list[Any]:
    if results.empty:
        return [np.nan] * 6
    now = results.iloc[-1]
    year_ago = results[
        (results.fiscal_year == now.fiscal_year - 1) & (results.quarter == now.quarter)
    ]
    growth = [np.nan] * 3
    if len(year_ago):
        before = year_ago.iloc[0]
        growth = [
            (now[column] - before[column]) / abs(before[column]) * 100 if before[column] else np.nan
            for column in ("revenue_cr", "pat_cr", "eps")
        ]
    margins = [
        now[column] / now.revenue_cr * 100 if now.revenue_cr else np.nan
        for column in ("operating_profit_cr", "pat_cr")
    ]
    return [growth[0], growth[1], *margins, growth[2], float(growth[0] > 20 or growth[1] > 20)]


def _event(prices: pd.DataFrame, day: str) -> list[Any]:
    today, before = prices[prices.date == day], prices[prices.date < day]
    trend = before.volume.iloc[-5:].mean() / before.volume.iloc[-20:-5].mean()
    if today.empty:
        return [np.nan, np.nan, trend]
    row = today.iloc[0]
    return [
        (row.close - row.open) / row.open * 100,
        row.volume / before.volume.iloc[-20:].mean(),
        trend,
    ]
