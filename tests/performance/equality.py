"""How far two computations of the same rows are apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.features.manifest import FEATURE_NAMES
from preprocess.market import Floats
from tests.features.closeness import scale_of


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
    by_scale = _divided(difference, np.array([scale_of(row) for row in expected]), missing)
    strict = _divided(difference, np.abs(expected), missing)
    worst = int(by_scale.max(axis=0).argmax())
    return Distance(len(expected), float(by_scale.max()), float(strict.max()), FEATURE_NAMES[worst])


def _divided(difference: Floats, by: Floats, missing: NDArray[np.bool_]) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(difference == 0.0, 0.0, difference / by)
    relative[missing] = 0.0
    relative[np.isnan(relative)] = np.inf
    return relative
