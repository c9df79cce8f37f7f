"""Technical features: TA-Lib over the stock's whole history, read off at its last row.

TA-Lib's value over the full series is the definition, because an exponential average depends on
where its history starts. Every function takes one stock's adjusted series, ascending by day.
"""

import math

import numpy as np
import talib

from preprocess.market.values import Floats, Prices

RSI_PERIOD = 14
MACD_FAST, MACD_SLOW, MACD_SIGNAL = 12, 26, 9
BAND_PERIOD, BAND_DEVIATIONS = 20, 2.0
VOLUME_PERIOD, VOLUME_SPIKE = 30, 2.0
MOMENTUM_PERIODS = (5, 10, 30)

# Below this share of the mean, TA-Lib's running variance is rounding noise and not a width.
FLAT_BAND = 1e-9


def rsi(close: Floats) -> float:
    """Wilder's RSI over 14 rows, 0 to 100; NaN with fewer than 15 rows."""
    if len(close) <= RSI_PERIOD:
        return math.nan
    return float(talib.RSI(close, RSI_PERIOD)[-1])


def macd(close: Floats) -> tuple[float, float, float]:
    """MACD(12, 26, 9): line, signal, histogram in rupees; NaN with fewer than 34 rows."""
    if len(close) < MACD_SLOW + MACD_SIGNAL - 1:
        return math.nan, math.nan, math.nan
    line, signal, histogram = talib.MACD(close, MACD_FAST, MACD_SLOW, MACD_SIGNAL)
    return float(line[-1]), float(signal[-1]), float(histogram[-1])


def bollinger(close: Floats) -> tuple[float, float, float, float]:
    """Bands over 20 rows at 2 deviations: upper, middle, lower in rupees, and %b.

    %b is (close - lower) / (upper - lower), 0.5 when the band has no width; NaN with fewer than
    20 rows.
    """
    if len(close) < BAND_PERIOD:
        return math.nan, math.nan, math.nan, math.nan
    bands = talib.BBANDS(close, BAND_PERIOD, BAND_DEVIATIONS, BAND_DEVIATIONS)
    upper, middle, lower = (float(band[-1]) for band in bands)
    window = close[-BAND_PERIOD:]
    width = upper - lower
    if width <= 0.0 or window.std() <= FLAT_BAND * window.mean():
        return upper, middle, lower, 0.5
    return upper, middle, lower, (float(close[-1]) - lower) / width


def volume_ratio(volume: Floats) -> float:
    """Last volume to the mean of the 30 rows before it; NaN with fewer than 31 rows or mean 0."""
    if len(volume) <= VOLUME_PERIOD:
        return math.nan
    mean = float(volume[-VOLUME_PERIOD - 1 : -1].mean())
    return float(volume[-1]) / mean if mean > 0.0 else math.nan


def momentum(close: Floats, rows: int) -> float:
    """Change of the close over `rows` rows, in percent; NaN with no row that far back."""
    if len(close) <= rows:
        return math.nan
    return (float(close[-1]) / float(close[-1 - rows]) - 1.0) * 100.0


def technical_features(prices: Prices) -> list[float]:
    """Features 1 to 13 of the manifest at the last row of `prices`."""
    ratio = volume_ratio(prices.volume)
    spike = math.nan if math.isnan(ratio) else float(ratio > VOLUME_SPIKE)
    close = np.ascontiguousarray(prices.close)
    return [
        rsi(close),
        *macd(close),
        *bollinger(close),
        ratio,
        spike,
        *(momentum(close, rows) for rows in MOMENTUM_PERIODS),
    ]
