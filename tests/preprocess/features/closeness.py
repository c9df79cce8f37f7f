"""How close two computations of the same features must be."""

import numpy as np

from preprocess.features.manifest import FEATURE_NAMES
from preprocess.market.values import Floats

TOLERANCE = 1e-9

# What a feature's error is measured by where the value itself may be a small difference of large
# numbers: the price for what is in rupees, the full scale for what has one.
_SCALES = {"rsi_14": 100.0, "bb_percent_b": 1.0}
_SCALES |= {f"momentum_{rows}d": 100.0 for rows in (5, 10, 30)}
# TA-Lib's bands come from running sums of closes and of their squares, which carry the rounding of
# the highest close that has gone through them: against exact arithmetic, up to 9 of these units.
# The batch sums the window itself.
_SUMS = 16.0 * float(np.finfo(np.float64).eps)

_IN_RUPEES = ("macd_line", "macd_signal", "macd_histogram", "bb_upper", "bb_middle", "bb_lower")
_BANDS = [FEATURE_NAMES.index(f"bb_{name}") for name in ("upper", "middle", "lower")]
_PERCENT_B = FEATURE_NAMES.index("bb_percent_b")


def assert_same_features(
    found: Floats,
    expected: Floats,
    *,
    context: str = "",
    tolerance: float = TOLERANCE,
    highest: float = 0.0,
) -> None:
    """Both are float64 [25]; missing in the one must be missing in the other.

    `highest` is the greatest close of the history, where that may be far above the last.

    Raises:
        AssertionError: names the features that differ by more than `tolerance` of their scale.
    """
    upper, price, lower = expected[_BANDS]
    scales = np.array(
        [price if name in _IN_RUPEES else _SCALES.get(name, 0.0) for name in FEATURE_NAMES]
    )
    allowed = tolerance * np.fmax(np.abs(expected), scales)
    carried = max(price, highest)
    allowed[_BANDS] += _SUMS * carried
    if upper > lower:
        allowed[_BANDS] += _SUMS * carried * carried / (upper - lower)
        allowed[_PERCENT_B] += _SUMS * (carried / (upper - lower)) ** 2
    missing = np.isnan(found) & np.isnan(expected)
    wrong = ~(missing | (np.abs(found - expected) <= allowed))
    assert not wrong.any(), f"{context}: " + ", ".join(
        f"{FEATURE_NAMES[index]} {found[index]!r} instead of {expected[index]!r}"
        for index in np.flatnonzero(wrong)
    )
