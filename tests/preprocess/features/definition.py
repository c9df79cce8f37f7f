"""The definition of the served features: TA-Lib and plain arithmetic, one stock and day at a time.

The compiled kernel has to agree with it to 1e-9. Series have 34 rows or more. TA-Lib's value over a
stock's whole history is the definition, because an exponential average depends on where its history
starts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import talib

from preprocess.features.adjustment import adjusted
from preprocess.features.financial import financial_features
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import MINIMUM_ROWS, Status
from preprocess.market.calendar import (
    FiscalQuarter,
    day_number,
    from_day_number,
    month_of,
    years_before,
)
from preprocess.market.values import CircuitLabel, Floats, Prices, StaticRow, StockHistory

# Below this share of the mean, TA-Lib's running variance is rounding noise and not a width.
FLAT_BAND = 1e-9
LARGEST_SERVED = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """`values` is float64 [25] in manifest order, NaN where missing, all NaN unless OK.

    `as_of` is the date of the newest price row used; None unless OK.
    """

    status: Status
    as_of: date | None
    values: Floats


def rsi(close: Floats) -> float:
    """Wilder's RSI over 14 rows, 0 to 100."""
    return float(talib.RSI(close, 14)[-1])


def macd(close: Floats) -> tuple[float, float, float]:
    """MACD(12, 26, 9): line, signal, histogram in rupees."""
    line, signal, histogram = talib.MACD(close, 12, 26, 9)
    return float(line[-1]), float(signal[-1]), float(histogram[-1])


def bollinger(close: Floats) -> tuple[float, float, float, float]:
    """Bands over 20 rows at 2 deviations: upper, middle, lower in rupees, and %b.

    %b is (close - lower) / (upper - lower), 0.5 when the band has no width.
    """
    bands = talib.BBANDS(close, 20, 2.0, 2.0)
    upper, middle, lower = (float(band[-1]) for band in bands)
    window = close[-20:]
    width = upper - lower
    if width <= 0.0 or window.std() <= FLAT_BAND * window.mean():
        return upper, middle, lower, 0.5
    return upper, middle, lower, (float(close[-1]) - lower) / width


def volume_ratio(volume: Floats) -> float:
    """Last volume to the mean of the 30 rows before it; NaN if that is 0."""
    mean = float(volume[-31:-1].mean())
    return float(volume[-1]) / mean if mean > 0.0 else math.nan


def momentum(close: Floats, rows: int) -> float:
    """Change of the close over `rows` rows, in percent."""
    return (float(close[-1]) / float(close[-1 - rows]) - 1.0) * 100.0


def technical_features(prices: Prices, demerged: date | None) -> list[float]:
    """Features 1 to 13 of the manifest at the last row of `prices`.

    Closes from before a demerger are no part of the series; RSI goes with MACD, whose look-back is
    the longest.
    """
    ratio = volume_ratio(prices.volume)
    spike = math.nan if math.isnan(ratio) else float(ratio > 2.0)
    close = np.ascontiguousarray(prices.close)
    if demerged is not None:
        close = close[prices.days >= day_number(demerged)].copy()
    n = len(close)
    return [
        *((rsi(close), *macd(close)) if n >= MINIMUM_ROWS else [math.nan] * 4),
        *(bollinger(close) if n >= 20 else [math.nan] * 4),
        ratio,
        spike,
        *(momentum(close, rows) if n > rows else math.nan for rows in (5, 10, 30)),
    ]


def circuit_rate(labels: Sequence[CircuitLabel], day: date) -> float:
    """Share of positive labels in the day's fiscal quarter over the three years before `day`.

    Counts labels whose announcement lies in [day - 3 years, day) and whose outcome was known by
    `day`; NaN when there is none.
    """
    quarter, start = FiscalQuarter.of(day).quarter, years_before(day, 3)
    outcomes = [
        label.label
        for label in labels
        if start <= label.earnings_date < day
        and label.next_day_date <= day
        and FiscalQuarter.of(label.earnings_date).quarter == quarter
    ]
    return sum(outcomes) / len(outcomes) if outcomes else math.nan


def volume_trend(before: Prices) -> float:
    """Mean volume of the last 5 rows to that of the 15 before; `before` ends before the day."""
    if len(before) < 20:
        return math.nan
    base = float(before.volume[-20:-5].mean())
    return float(before.volume[-5:].mean()) / base if base > 0.0 else math.nan


def event_features(prices: Prices, labels: Sequence[CircuitLabel], day: date) -> list[float]:
    """Features 20 to 23 of the manifest; `prices` are adjusted and end on or before `day`."""
    reaction = spike = math.nan
    has_row = len(prices) > 0 and int(prices.days[-1]) == day_number(day)
    before = prices[:-1] if has_row else prices
    if has_row:
        opening = float(prices.open[-1])
        reaction = (float(prices.close[-1]) - opening) / opening * 100.0
        mean = float(before.volume[-20:].mean()) if len(before) >= 20 else 0.0
        spike = float(prices.volume[-1]) / mean if mean > 0.0 else math.nan
    return [reaction, spike, volume_trend(before), circuit_rate(labels, day)]


def stamp_on(statics: Sequence[StaticRow], day: date) -> StaticRow | None:
    """The stamp that was current on `day`: that of its month, else the newest before it."""
    month = month_of(day)
    return max(
        (stamp for stamp in statics if stamp.month <= month),
        key=lambda stamp: stamp.month,
        default=None,
    )


def static_features(statics: Sequence[StaticRow], day: date) -> list[float]:
    """Features 24 and 25 of the manifest as of `day`."""
    stamp = stamp_on(statics, day)
    if stamp is None:
        return [math.nan, math.nan]
    return [
        math.nan if value is None else float(value)
        for value in (stamp.sector_code, stamp.market_cap_tier)
    ]


def feature_row(history: StockHistory, day: date) -> FeatureRow:
    """The 25 features of `history` as of `day`, from nothing dated after it.

    Values that float32 cannot hold count as missing, so that infinity never leaves.
    """
    prices = history.prices.until(day)
    if len(prices) < MINIMUM_ROWS:
        return FeatureRow(Status.SHORT_HISTORY, None, np.full(FEATURE_COUNT, np.nan))
    prices = adjusted(prices, history.actions, day)
    demergers = [
        action.ex_date
        for action in history.actions
        if action.kind == "demerger" and action.ex_date <= day
    ]
    values = np.array(
        technical_features(prices, max(demergers, default=None))
        + financial_features(history.results, day)
        + event_features(prices, history.labels, day)
        + static_features(history.statics, day)
    )
    values[np.abs(values) > LARGEST_SERVED] = np.nan
    return FeatureRow(Status.OK, from_day_number(prices.days[-1]), values)
