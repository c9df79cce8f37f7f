"""Indicator series over one stock, or over many that lie behind one another.

TA-Lib computes them, once for each stock's own slice: a call over the whole column would carry the
averages of one stock into the next. `starts` are int64 [stocks + 1] offsets into the column;
without them the column is one stock's. Rows that have no value yet are NaN. Each function raises
FeatureError for a column or offsets of another shape, and for a period that TA-Lib does not take.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import talib

from preprocess.columns import Indices
from preprocess.errors import FeatureError
from preprocess.features.technical import (
    BAND_DEVIATIONS,
    BAND_PERIOD,
    MACD_FAST,
    MACD_SIGNAL,
    MACD_SLOW,
    RSI_PERIOD,
)
from preprocess.market import Floats

LONGEST_PERIOD = 100_000  # TA-Lib's own limit


def rsi_series(close: Floats, *, period: int = RSI_PERIOD, starts: Indices | None = None) -> Floats:
    """Wilder's RSI, 0 to 100, float64 [n]; NaN in a stock's first `period` rows."""
    _check_periods(period)
    (series,) = _by_stock(lambda one: (talib.RSI(one, period),), 1, close, starts)
    return series


def macd_series(
    close: Floats,
    *,
    fast: int = MACD_FAST,
    slow: int = MACD_SLOW,
    signal: int = MACD_SIGNAL,
    starts: Indices | None = None,
) -> tuple[Floats, Floats, Floats]:
    """MACD line, signal and histogram in rupees, each float64 [n]."""
    _check_periods(fast, slow)
    _check_periods(signal, least=1)
    line, average, histogram = _by_stock(
        lambda one: talib.MACD(one, fast, slow, signal), 3, close, starts
    )
    return line, average, histogram


def bollinger_series(
    close: Floats,
    *,
    period: int = BAND_PERIOD,
    deviations: float = BAND_DEVIATIONS,
    starts: Indices | None = None,
) -> tuple[Floats, Floats, Floats]:
    """Upper, middle and lower band in rupees, each float64 [n]."""
    _check_periods(period)
    upper, middle, lower = _by_stock(
        lambda one: talib.BBANDS(one, period, deviations, deviations), 3, close, starts
    )
    return upper, middle, lower


def _by_stock(
    indicator: Callable[[Floats], tuple[Floats, ...]],
    count: int,
    close: Floats,
    starts: Indices | None,
) -> tuple[Floats, ...]:
    column = np.asarray(close, dtype=np.float64)
    if column.ndim != 1:
        raise FeatureError(f"A close series has one dimension, not {column.ndim}.")
    column = np.ascontiguousarray(column)
    places = [0, len(column)] if starts is None else _checked(np.asarray(starts), len(column))
    out = tuple(np.empty(len(column)) for _ in range(count))
    for first, last in pairwise(places):
        if first == last:
            continue
        for whole, part in zip(out, indicator(column[first:last]), strict=True):
            whole[first:last] = part
    return out


def _check_periods(*periods: int, least: int = 2) -> None:
    for period in periods:
        if not least <= period <= LONGEST_PERIOD:
            raise FeatureError(f"A period is {least} to {LONGEST_PERIOD} rows, not {period}.")


def _checked(starts: Indices, rows: int) -> list[int]:
    whole = starts.ndim == 1 and len(starts) > 0 and starts.dtype.kind in "iu"
    if not whole or starts[0] != 0 or starts[-1] != rows or (starts[1:] < starts[:-1]).any():
        raise FeatureError(
            f"The offsets must ascend from 0 to the number of rows ({rows}), one more than there "
            "are stocks."
        )
    places: list[int] = starts.tolist()
    return places
