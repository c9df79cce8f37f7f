"""Fits a forest. The defaults suit the data: some thousand noisy samples, few of them positive."""

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import xgboost
from numpy.typing import NDArray

from preprocess.errors import TrainingError
from preprocess.training.card import Family
from preprocess.training.lightgbm_model import LightGBMModel
from preprocess.training.native import Float32s, NativeModel
from preprocess.training.xgboost_model import XGBoostModel

MAX_BIN = 255  # a bin fits in a byte, which the INT8 variant relies on
MAX_LEAVES = 63

# Trees times learning rate, at which the log loss on later data was lowest on real announcements.
_TOTAL_STEP = 5.0
_LARGEST_STEP = 0.1

# The least evidence for a leaf: a twentieth of all evidence, at most 20 (in units of the summed
# Hessian p(1-p), so about 230 samples where a tenth is positive).
_LARGEST_LEAF_WEIGHT = 20.0
_LEAF_WEIGHT_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a user may choose.

    There is no early stopping on the validation part: it is small, and the stop would follow its
    noise. Instead each tree weighs little; `learning_rate` None means 5 / trees,
    at most 0.1.
    """

    family: Family = "xgboost"
    trees: int = 500
    depth: int = 6
    seed: int = 42
    learning_rate: float | None = None

    @property
    def step(self) -> float:
        """The effective learning rate."""
        if self.learning_rate is not None:
            return self.learning_rate
        return min(_TOTAL_STEP / self.trees, _LARGEST_STEP)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted forest: as served, as a picklable estimator, and the parameters used."""

    native: NativeModel
    estimator: object
    parameters: dict[str, bool | int | float | str]


def fit(parameters: Parameters, x: Float32s, y: NDArray[np.int8]) -> Fitted:
    """Fit a forest on x [n, 25] and y [n]; the same input gives the same bytes.

    It uses one thread: with more, sums round differently from machine to machine.

    Raises:
        TrainingError: y has only one class.
    """
    share = float(y.mean()) if len(y) else 0.0
    if not 0.0 < share < 1.0:
        raise TrainingError(
            "All training samples have the same label: import more prices and results, or "
            "choose another TEZI_CIRCUIT_PCT."
        )
    evidence = len(y) * share * (1.0 - share)
    leaf_weight = round(min(_LARGEST_LEAF_WEIGHT, _LEAF_WEIGHT_SHARE * evidence), 4)
    chosen: dict[str, Any] = {
        "n_estimators": parameters.trees,
        "max_depth": parameters.depth,
        "learning_rate": parameters.step,
        "max_bin": MAX_BIN,
        "subsample": 0.7,
        "colsample_bytree": 0.5,
        "min_child_weight": leaf_weight,
        "reg_lambda": 5.0,
        "random_state": parameters.seed,
        "n_jobs": 1,
    }
    if parameters.family == "xgboost":
        chosen |= {
            "tree_method": "hist",
            # Where boosting starts from, short enough that its text in the model file is exact.
            "base_score": min(max(round(share, 4), 0.0001), 0.9999),
        }
        classifier = xgboost.XGBClassifier(objective="binary:logistic", **chosen).fit(x, y)
        return Fitted(XGBoostModel(classifier), classifier, chosen)
    chosen |= {
        "num_leaves": min(2**parameters.depth, MAX_LEAVES),
        "subsample_freq": 1,
        "min_child_samples": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    estimator = lightgbm.LGBMClassifier(objective="binary", **chosen).fit(x, y)
    return Fitted(LightGBMModel(estimator), estimator, chosen)
