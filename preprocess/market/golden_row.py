"""The golden row: a fixed query through the whole ensemble, and the result it must give.

Its stock is made up and defined in this file, so that no correction of market data changes the
result; only a change of the feature code or of the model does. Computing it also reads the
database, so a correct result shows that every part works.
"""

import math
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from preprocess.market.calendar import FiscalQuarter, day_number, from_day_number
from preprocess.market.values import (
    CircuitLabel,
    CorporateAction,
    Prices,
    QuarterResult,
    StaticRow,
    StockHistory,
)

GOLDEN_CODE = "000000"  # a code that BSE does not assign
GOLDEN_DATE = date(2024, 8, 14)

_ROWS = 300
PROBABILITY_TOLERANCE = 1e-6
FEATURE_TOLERANCE = 1e-5


def golden_history() -> StockHistory:
    """The made-up stock: 300 weekdays to the golden date, a split, nine quarters of results."""
    days: list[int] = []
    day = GOLDEN_DATE
    while len(days) < _ROWS:
        if day.weekday() < 5:
            days.append(day_number(day))
        day -= timedelta(days=1)
    # Small integer congruences: the same on every machine and with every numpy.
    step = np.arange(_ROWS)
    close = 500.0 + step + (step * 37 % 41) / 2.0
    close[:150] *= 2.0
    opening = close + (step * 17 % 13 - 6) / 4.0
    prices = Prices(
        days=np.array(days[::-1], dtype=np.int32),
        open=opening,
        high=np.maximum(opening, close) + 1.0,
        low=np.minimum(opening, close) - 1.0,
        close=close,
        volume=10_000.0 + (step * 7919 % 5003),
        adjusted=np.zeros(_ROWS, dtype=np.bool_),
    )
    split = CorporateAction(from_day_number(int(prices.days[150])), "split", 2.0)
    newest = FiscalQuarter(2025, 1)
    results = tuple(
        QuarterResult(
            quarter=(quarter := newest.shifted(-back)),
            period_end=quarter.last_day,
            announced_on=quarter.last_day + timedelta(days=30),
            revenue_cr=400.0 - 11.0 * back,
            pat_cr=48.0 - 2.5 * back,
            operating_profit_cr=72.0 - 2.0 * back,
            eps=6.0 - 0.3 * back,
        )
        for back in range(9)
    )
    labels = tuple(
        CircuitLabel(day, day + timedelta(days=1), change, int(change >= 5.0))
        for day, change in ((date(2022, 7, 30), 6.0), (date(2023, 7, 30), 1.5))
    )
    stamp = StaticRow("2024-08", "Golden", 0, 4_000.0, 1)
    return StockHistory(GOLDEN_CODE, prices, results, (split,), labels, (stamp,))


def disagreement(
    expected_features: Sequence[float | None],
    expected_probability: float,
    features: Sequence[float | None],
    probability: float,
) -> str | None:
    """The first difference between the actual and the expected result; None without one.

    Probabilities may differ by 1e-6, features by 1e-5 of their size (both are float32).
    """
    if len(features) != len(expected_features):
        return f"{len(features)} features instead of {len(expected_features)}"
    for index, (given, expected) in enumerate(zip(features, expected_features, strict=True)):
        a = math.nan if given is None else given
        b = math.nan if expected is None else expected
        same = math.isclose(a, b, rel_tol=FEATURE_TOLERANCE, abs_tol=FEATURE_TOLERANCE)
        if not same and not (math.isnan(a) and math.isnan(b)):
            return f"feature {index + 1} is {a} instead of {b}"
    if not abs(probability - expected_probability) <= PROBABILITY_TOLERANCE:
        return f"probability {probability} instead of {expected_probability}"
    return None
