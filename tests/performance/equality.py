"""How far two computations of the same rows are apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.features.manifest import FEATURE_NAMES
from preprocess.market import Floats

_IN_RUPEES = ("macd_line", "macd_signal", "macd_histogram", "bb_upper", "bb_middle", "bb_lower")
_FULL_SCALES = {"rsi_14": 100.0, "bb_percent_b": 1.0} | {
    f"momentum_{rows}d": 100.0 for rows in (5, 10, 30)
}


@dataclass(frozen=True)
class Distance:
    """The greatest difference over all rows, by the size of the value or its scale.

    The scale is the price for what is in rupees, and 100 % or 1 for what has such a scale: MACD may
    be near zero where the price is 1,000. `strict` is by the size of the value alone. Both are
    infinite if a value is missing in one and not in the other.
    """

    rows: int
    relative: float
    strict: float
    feature: str


def distance(found: Floats, expected: Floats) -> Distance:
    """Both are float64 [n, 25]."""
    missing = np.isnan(found) & np.isnan(expected)
    difference = np.abs(found - expected)
    by_scale = _divided(difference, _scales(expected), missing)
    strict = _divided(difference, np.abs(expected), missing)
    worst = int(by_scale.max(axis=0).argmax())
    return Distance(len(expected), float(by_scale.max()), float(strict.max()), FEATURE_NAMES[worst])


def _scales(expected: Floats) -> Floats:
    price = expected[:, FEATURE_NAMES.index("bb_middle")]
    scales = np.zeros_like(expected)
    for place, name in enumerate(FEATURE_NAMES):
        scales[:, place] = price if name in _IN_RUPEES else _FULL_SCALES.get(name, 0.0)
    return np.fmax(np.abs(expected), scales)


def _divided(difference: Floats, by: Floats, missing: NDArray[np.bool_]) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(difference == 0.0, 0.0, difference / by)
    relative[missing] = 0.0
    relative[np.isnan(relative)] = np.inf
    return relative
