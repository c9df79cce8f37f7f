"""The naive way, the baseline of every ratio: connect, pandas.read_sql, rolling windows, pickle.

One stock at a time, each indicator by pandas, as a first version of such a service is written. It
is right, and nothing in it is slow on purpose: its answers are those of the product, to 1e-9.

`python -m tests.performance.naive DATABASE MODEL.pickle PORT` serves it: one route, one process.
"""

import pickle
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg2
import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from preprocess.features.manifest import FEATURE_NAMES
from preprocess.market.calendar import FiscalQuarter, announcement_limit
from preprocess.market.values import Floats

_FIGURES = ["revenue_cr", "pat_cr", "operating_profit_cr", "eps"]

_PRICES = "SELECT * FROM price_movements WHERE bse_code = ? AND date <= ? ORDER BY date"
_ACTIONS = (
    "SELECT ex_date, ratio FROM corporate_actions WHERE bse_code = ? AND ex_date <= ?"
    " AND kind IN ('bonus', 'split') AND ratio IS NOT NULL"
)
_RESULTS = (
    "SELECT * FROM historical_financials WHERE bse_code = ? AND period_end <= ?"
    " ORDER BY fiscal_year, quarter"
)
# (month + 8) % 12 / 3 numbers the fiscal quarters 0 to 3: April to June is 0.
_LABELS = (
    "SELECT * FROM upper_circuit_labels WHERE bse_code = ? AND earnings_date >= ?"
    " AND earnings_date < ? AND next_day_date <= ?"
    " AND (CAST(substr(CAST(earnings_date AS TEXT), 6, 2) AS INTEGER) + 8) % 12 / 3 = ?"
)
_STATICS = "SELECT * FROM static_features WHERE bse_code = ? AND month <= ? ORDER BY month"

# MACD may be near zero where the price is 1,000: what is in rupees is compared by the price, and
# percentages by 100 %.
_IN_RUPEES = ("macd_line", "macd_signal", "macd_histogram", "bb_upper", "bb_middle", "bb_lower")
_FULL_SCALES = {"rsi_14": 100.0, "bb_percent_b": 1.0} | {
    f"momentum_{rows}d": 100.0 for rows in (5, 10, 30)
}

# An SQLite file, or what libpq takes for a connection to PostgreSQL.
Source = Path | str


def connect(source: Source) -> Any:
    """A connection of its own, to be closed."""
    return sqlite3.connect(source) if isinstance(source, Path) else psycopg2.connect(source)


def query(source: Source, text: str) -> str:
    """`text` with the placeholders of the source's driver."""
    if isinstance(source, Path):
        return text
    return text.replace("%", "%%").replace("?", "%s")


def naive_features(source: Source, code: str, day: str) -> list[float]:
    """The 25 features of one stock, NaN where missing."""

    def read(text: str, *parameters: object) -> pd.DataFrame:
        return pd.read_sql_query(query(source, text), connection, params=parameters)

    with closing(connect(source)) as connection:
        prices = read(_PRICES, code, day)
        results = read(_RESULTS, code, day)
        labels = read(_LABELS, code, _three_years_before(day), day, day, _quarter(day))
        static = read(_STATICS, code, day[:7])
        cursor = connection.cursor()
        cursor.execute(query(source, _ACTIONS), (code, day))
        actions = cursor.fetchall()
    last = static.iloc[-1] if len(static) else {"sector_code": None, "market_cap_tier": None}
    for ex_date, ratio in actions:
        before = (prices.date < ex_date) & (prices.adjusted == 0)
        factor = before.map({True: ratio, False: 1.0})
        for name in ("open", "close"):
            prices[name] = prices[name] / factor
        prices["volume"] = prices.volume * factor
    values = [
        *_technical(prices),
        *naive_financials(results, day),
        *_event(prices, day),
        labels.label.mean() if len(labels) else np.nan,
        last["sector_code"],
        last["market_cap_tier"],
    ]
    return [float("nan") if value is None else float(value) for value in values]


def distance(found: Floats, expected: Floats) -> tuple[float, str]:
    """The greatest difference of rows float64 [n, 25] by the size of the value, and its feature.

    Infinite if a value is missing in one and not in the other.
    """
    scales = np.zeros_like(expected)
    for index, name in enumerate(FEATURE_NAMES):
        price = expected[:, FEATURE_NAMES.index("bb_middle")]
        scales[:, index] = price if name in _IN_RUPEES else _FULL_SCALES.get(name, 0.0)
    difference = np.abs(found - expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(difference == 0.0, 0.0, difference / np.fmax(np.abs(expected), scales))
    missing: NDArray[np.bool_] = np.isnan(found) & np.isnan(expected)
    apart[missing] = 0.0
    apart[np.isnan(apart)] = np.inf
    return float(apart.max()), FEATURE_NAMES[int(apart.max(axis=0).argmax())]


def load_model(model_file: Path) -> Any:
    """The pickled model."""
    with model_file.open("rb") as file:
        return pickle.load(file)  # our own file, written by `tezi train`


def naive_rsi(close: pd.Series) -> pd.Series:
    """RSI(14), Wilder's averages started as TA-Lib starts them: by the mean of 14 changes."""
    change = close.diff()
    gain = _average(change.clip(lower=0), 14, 14, alpha=1 / 14)
    loss = _average(-change.clip(upper=0), 14, 14, alpha=1 / 14)
    moved = gain + loss
    return (100 * gain / moved).where(moved > 0, 0.0).where(moved.notna())


def naive_macd(close: pd.Series) -> tuple[pd.Series, pd.Series, pd.Series]:
    """MACD(12, 26, 9): line, signal, histogram; both averages start at row 26, as in TA-Lib."""
    line = _average(close, 25, 12, span=12) - _average(close, 25, 26, span=26)
    signal = _average(line, 33, 9, span=9)
    return line, signal, line - signal


def naive_financials(results: pd.DataFrame, day: str) -> list[Any]:
    """Features 14 to 19, from a stock's results as they were read."""
    known = [
        str(announced or _limit(*label)) <= day
        for announced, *label in zip(
            results.announced_on.astype(object).where(results.announced_on.notna(), None),
            results.fiscal_year,
            results.quarter,
            results.period_end,
            strict=True,
        )
    ]
    results = results.loc[np.array(known, dtype=bool)].astype(dict.fromkeys(_FIGURES, float))
    if results.empty:
        return [np.nan] * 6
    now = results.iloc[-1]
    year_ago = results[
        (results.fiscal_year == now.fiscal_year - 1) & (results.quarter == now.quarter)
    ]
    revenue = pat = eps = np.nan
    turned = False
    if len(year_ago):
        before = year_ago.iloc[0]
        if before.revenue_cr > 0:
            revenue = (now.revenue_cr - before.revenue_cr) / before.revenue_cr * 100
        pat, eps = (
            (now[name] - before[name]) / abs(before[name]) * 100 if before[name] else np.nan
            for name in ("pat_cr", "eps")
        )
        turned = before.pat_cr < 0 < now.pat_cr
    margins = [
        now[name] / now.revenue_cr * 100 if now.revenue_cr > 0 else np.nan
        for name in ("operating_profit_cr", "pat_cr")
    ]
    surprise = np.nan
    if not (np.isnan(revenue) and np.isnan(pat)):
        surprise = float(turned or revenue > 20 or pat > 20)
    return [revenue, pat, *margins, eps, surprise]


def _technical(prices: pd.DataFrame) -> list[Any]:
    close, volume = prices.close, prices.volume
    line, signal, histogram = naive_macd(close)
    middle = close.rolling(20).mean()
    deviation = close.rolling(20).std(ddof=0)
    upper, lower = middle + 2 * deviation, middle - 2 * deviation
    percent_b = ((close - lower) / (upper - lower)).where(deviation > 1e-9 * middle, 0.5)
    usual = volume.shift(1).rolling(30).mean()
    ratio = (volume / usual).where(usual > 0)
    last = -1
    return [
        naive_rsi(close).iloc[last],
        line.iloc[last],
        signal.iloc[last],
        histogram.iloc[last],
        upper.iloc[last],
        middle.iloc[last],
        lower.iloc[last],
        percent_b.iloc[last],
        ratio.iloc[last],
        float(ratio.iloc[last] > 2) if ratio.notna().iloc[last] else np.nan,
        *[(close.pct_change(rows) * 100).iloc[last] for rows in (5, 10, 30)],
    ]


def _event(prices: pd.DataFrame, day: str) -> list[Any]:
    row = prices.iloc[-1]
    has_row = str(row.date) == day
    before = prices.volume.iloc[:-1] if has_row else prices.volume
    usual = before.iloc[-20:].mean()
    base = before.iloc[-20:-5].mean()
    trend = before.iloc[-5:].mean() / base if len(before) >= 20 and base > 0 else np.nan
    if not has_row:
        return [np.nan, np.nan, trend]
    spike = row.volume / usual if len(before) >= 20 and usual > 0 else np.nan
    return [(row.close - row.open) / row.open * 100, spike, trend]


def _average(series: pd.Series, first: int, rows: int, **how: float) -> pd.Series:
    """Exponential average from row `first` on, started there by the mean of `rows` rows."""
    started = series.copy()
    started.iloc[first] = series.iloc[first - rows + 1 : first + 1].mean()
    started.iloc[:first] = np.nan
    return started.ewm(adjust=False, **how).mean()


def _quarter(day: str) -> int:
    return (int(day[5:7]) + 8) % 12 // 3


def _three_years_before(day: str) -> str:
    before = f"{int(day[:4]) - 3}{day[4:]}"
    return before if day[5:] != "02-29" else f"{before[:8]}28"


def _limit(fiscal_year: int, quarter: str, period_end: Any) -> str:
    label = FiscalQuarter(int(fiscal_year), int(quarter[1]))
    return announcement_limit(label, pd.Timestamp(period_end).date()).isoformat()


def _serve(database: Path, model_file: Path, port: int) -> None:
    model = load_model(model_file)

    async def predict(request: Request) -> JSONResponse:
        body = await request.json()
        values = naive_features(database, body["bse_code"], body["prediction_date"])
        row = np.array([values], dtype=np.float32)
        return JSONResponse({"probability": float(model.predict_proba(row)[0, 1])})

    app = Starlette(routes=[Route("/api/v1/predict", predict, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
