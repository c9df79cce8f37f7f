"""What a model must beat: knowing only how common circuits are, and one plain rule."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.features.manifest import FEATURE_NAMES
from preprocess.training.dataset import Dataset
from preprocess.training.native import Doubles

BASE_RATE = "base rate"
TRIVIAL_RULE = "trivial rule"

RULES = {
    BASE_RATE: (
        "always the share of positives in the training part; its labels are all positive, the "
        "greatest F1 that a constant can have"
    ),
    TRIVIAL_RULE: (
        "positive where earnings_surprise is 1 (revenue or profit grew by more than 20 % in a "
        "year, or turned to profit); its probability is the share of positives in the training "
        "part on that side of the rule"
    ),
}

_SURPRISE = FEATURE_NAMES.index("earnings_surprise")


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predictor's answers on one part: probabilities [n] and labels [n]."""

    probabilities: Doubles
    positive: NDArray[np.bool_]


def baselines(train: Dataset, part: Dataset) -> Iterator[tuple[str, Prediction]]:
    """The baselines' answers on `part`, by what the training part tells."""
    share = float(train.y.mean())
    yield BASE_RATE, Prediction(np.full(len(part), share), np.ones(len(part), dtype=np.bool_))
    seen, surprised = _surprised(train), _surprised(part)
    shares = [
        float(train.y[seen == side].mean()) if (seen == side).any() else share
        for side in (False, True)
    ]
    yield TRIVIAL_RULE, Prediction(np.where(surprised, shares[1], shares[0]), surprised)


def _surprised(part: Dataset) -> NDArray[np.bool_]:
    chosen: NDArray[np.bool_] = part.x[:, _SURPRISE] == 1.0
    return chosen
