"""The probability from which on a circuit is predicted."""

import numpy as np
from numpy.typing import NDArray

from preprocess.training.native import Doubles

RULE = "the greatest F1 on the validation part"

# Two answers that lie closer than this may change places between the forms of a model.
_LEAST_GAP = 1e-5


def choose_threshold(probabilities: Doubles, y: NDArray[np.int8]) -> float:
    """The threshold with the greatest F1; of several, the highest. `y` holds a positive.

    It lies between two of the probabilities, well clear of both, and is the shortest decimal
    that does: a label then never hangs on the last bit of a float32.
    """
    order = np.argsort(-probabilities, kind="stable")
    descending = probabilities[order]
    last_of_level = np.append(np.flatnonzero(np.diff(descending)), len(descending) - 1)
    levels = descending[last_of_level]
    below = np.append(levels[1:], 0.0)
    hits = np.cumsum(y[order], dtype=np.int64)[last_of_level]
    f1 = 2.0 * hits / (last_of_level + 1 + int(y.sum()))
    f1[levels - below < _LEAST_GAP] = -1.0
    best = int(np.argmax(f1))
    return _shortest_between(float(below[best]), float(levels[best]))


def _shortest_between(low: float, high: float) -> float:
    """The shortest decimal in the middle half of an interval."""
    middle, quarter = (low + high) / 2.0, (high - low) / 4.0
    candidates = (round(middle, digits) for digits in range(1, 17))
    return next(
        (value for value in candidates if abs(value - middle) <= quarter),
        middle,
    )
