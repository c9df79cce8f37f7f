"""How close two computations of the same features must be."""

import numpy as np

from preprocess.features.manifest import FEATURE_NAMES
from preprocess.market import Floats

TOLERANCE = 1e-9

# Below this width, as a share of the price, the place in the band magnifies the rounding of
# TA-Lib's own running sums; the batch takes the deviation of the window itself.
NARROW_BAND = 1e-3

# What a feature's error is measured by where the value itself may be a small difference of large
# numbers: the price for what is in rupees, the full scale for what has one.
_SCALES = {"rsi_14": 100.0, "bb_percent_b": 1.0}
_SCALES |= {f"momentum_{rows}d": 100.0 for rows in (5, 10, 30)}
_IN_RUPEES = ("macd_line", "macd_signal", "macd_histogram", "bb_upper", "bb_middle", "bb_lower")


def assert_same_features(
    found: Floats,
    expected: Floats,
    *,
    context: str = "",
    tolerance: float = TOLERANCE,
    highest: float = 0.0,
) -> None:
    """Both are float64 [25]; missing in the one must be missing in the other.

    `highest` is the greatest close of the history, where that may be far above the last: TA-Lib's
    running sums carry the rounding of what has gone through them.

    Raises:
        AssertionError: names the features that differ by more than `tolerance` of their scale.
    """
    upper, middle, lower = (
        expected[FEATURE_NAMES.index(name)] for name in ("bb_upper", "bb_middle", "bb_lower")
    )
    price = max(middle, highest)
    scales = np.array(
        [price if name in _IN_RUPEES else _SCALES.get(name, 0.0) for name in FEATURE_NAMES]
    )
    if 0.0 < upper - lower < NARROW_BAND * price:
        scales[FEATURE_NAMES.index("bb_percent_b")] = 0.1 * price / (upper - lower)
    allowed = tolerance * np.fmax(np.abs(expected), scales)
    missing = np.isnan(found) & np.isnan(expected)
    wrong = ~(missing | (np.abs(found - expected) <= allowed))
    assert not wrong.any(), f"{context}: " + ", ".join(
        f"{FEATURE_NAMES[place]} {found[place]!r} instead of {expected[place]!r}"
        for place in np.flatnonzero(wrong)
    )
