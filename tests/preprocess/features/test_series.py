"""Indicator series: TA-Lib's own, stock by stock, and never one stock's into the next."""

from collections.abc import Callable

import numpy as np
import pytest
import talib

from preprocess.errors import FeatureError
from preprocess.feature_optimizer import FeatureOptimizer
from preprocess.market.values import Floats

Series = Callable[..., Floats | tuple[Floats, ...]]

OURS: dict[str, Series] = {
    "rsi": FeatureOptimizer.calculate_rsi_vectorized,
    "macd": FeatureOptimizer.calculate_macd_vectorized,
    "bands": FeatureOptimizer.calculate_bollinger_vectorized,
}
TALIB: dict[str, Series] = {
    "rsi": lambda close: talib.RSI(close, 14),
    "macd": lambda close: talib.MACD(close, 12, 26, 9),
    "bands": lambda close: talib.BBANDS(close, 20, 2, 2),
}
ROWS = [90, 0, 5, 34, 1, 200, 0]


def parts(found: Floats | tuple[Floats, ...]) -> tuple[Floats, ...]:
    return found if isinstance(found, tuple) else (found,)


@pytest.fixture
def market() -> tuple[Floats, Floats]:
    """Closes of seven stocks behind one another, two of them without a row, and their offsets."""
    rng = np.random.default_rng(20260814)
    stocks = [rng.uniform(5, 900) * (1 + np.cumsum(rng.normal(0, 0.01, n))) for n in ROWS]
    return np.concatenate(stocks), np.concatenate([[0], np.cumsum(ROWS)])


@pytest.mark.parametrize("name", OURS)
def test_series_of_all_are_talibs_of_each(name: str, market: tuple[Floats, Floats]) -> None:
    close, starts = market
    found = parts(OURS[name](close, starts=starts.astype(np.int64)))
    for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if first == last:
            continue
        expected = parts(TALIB[name](close[first:last].copy()))
        for ours, theirs in zip(found, expected, strict=True):
            assert ours[first:last].tobytes() == theirs.tobytes()


@pytest.mark.parametrize("name", OURS)
def test_one_call_over_the_whole_column_bleeds(name: str, market: tuple[Floats, Floats]) -> None:
    """The mistake that the offsets are there for: the first rows of a stock get values."""
    close, starts = market
    bled = parts(TALIB[name](close))[0]
    ours = parts(OURS[name](close, starts=starts.astype(np.int64)))[0]
    second = slice(int(starts[2]), int(starts[3]))
    assert np.isfinite(bled[second]).all()
    assert np.isnan(ours[second]).all()


@pytest.mark.parametrize("name", OURS)
def test_one_stock_needs_no_offsets(name: str, market: tuple[Floats, Floats]) -> None:
    close = market[0][:90]
    for ours, theirs in zip(parts(OURS[name](close)), parts(TALIB[name](close)), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert all(len(series) == 0 for series in parts(OURS[name](close[:0])))
    assert all(len(one) == 0 for one in parts(OURS[name](close[:0], starts=np.array([0, 0]))))


@pytest.mark.parametrize(
    "starts", [[], [0], [0, 10], [1, 90], [0, 50, 40, 90], [0.0, 90.0], [[0, 90]], [0, 91]]
)
def test_other_offsets_are_refused(starts: list[float]) -> None:
    with pytest.raises(FeatureError, match="ascend from 0"):
        FeatureOptimizer.calculate_rsi_vectorized(np.ones(90), starts=np.array(starts))


def test_closes_of_two_dimensions_are_refused() -> None:
    with pytest.raises(FeatureError, match="one dimension, not 2"):
        FeatureOptimizer.calculate_rsi_vectorized(np.ones((3, 3)))
