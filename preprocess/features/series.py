"""Indicator series over one stock, or over many that lie behind one another.

TA-Lib computes them, once for each stock's own slice: a call over the whole column would carry the
averages of one stock into the next. `starts` are int64 [stocks + 1] offsets into the column;
without them the column is one stock's. Rows that have no value yet are NaN.
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


def rsi_series(close: Floats, *, period: int = RSI_PERIOD, starts: Indices | None = None) -> Floats:
    """Wilder's RSI, 0 to 100, float64 [n]; NaN in a stock's first `period` rows."""
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
    column = np.ascontiguousarray(close, dtype=np.float64)
    if column.ndim != 1:
        raise FeatureError(f"A close series has one dimension, not {column.ndim}.")
    if starts is None:
        return indicator(column) if len(column) else (column.copy(),) * count
    _check_starts(starts, len(column))
    out = tuple(np.empty(len(column)) for _ in range(count))
    places = starts.tolist()
    for first, last in pairwise(places):
        if first == last:
            continue
        for whole, part in zip(out, indicator(column[first:last]), strict=True):
            whole[first:last] = part
    return out


def _check_starts(starts: Indices, rows: int) -> None:
    if len(starts) == 0 or starts[0] != 0 or starts[-1] != rows or (np.diff(starts) < 0).any():
        raise FeatureError(
            f"The offsets must ascend from 0 to the number of rows ({rows}), one more than there "
            "are stocks."
        )
