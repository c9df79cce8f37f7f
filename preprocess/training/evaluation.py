"""How well predictions match what happened, and the baselines that a model must beat."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from preprocess.features.manifest import FEATURE_NAMES
from preprocess.training.card import CalibrationBin, Scores
from preprocess.training.dataset import Dataset
from preprocess.training.native import Doubles

CALIBRATION_BINS = 10

BASE_RATE = "base rate"
TRIVIAL_RULE = "trivial rule"

BASELINE_RULES = {
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
THRESHOLD_RULE = "the greatest F1 on the validation part"

_SURPRISE = FEATURE_NAMES.index("earnings_surprise")

# Two probabilities closer than this may swap their order between the variants of a model.
_LEAST_GAP = 1e-5


def baseline_scores(train: Dataset, part: Dataset) -> dict[str, Scores]:
    """The scores of each baseline on `part`, by name."""
    return {
        name: scores(part.y, prediction.probabilities, prediction.positive)
        for name, prediction in baselines(train, part)
    }


@dataclass(frozen=True, slots=True)
class Prediction:
    """A baseline's predictions for one part: probabilities [n] and labels [n]."""

    probabilities: Doubles
    positive: NDArray[np.bool_]


def baselines(train: Dataset, part: Dataset) -> Iterator[tuple[str, Prediction]]:
    """What each baseline predicts for `part`, using only the training part."""
    share = float(train.y.mean())
    yield BASE_RATE, Prediction(np.full(len(part), share), np.ones(len(part), dtype=np.bool_))
    train_side, part_side = (data.x[:, _SURPRISE] == 1.0 for data in (train, part))
    shares = [
        float(train.y[train_side == side].mean()) if (train_side == side).any() else share
        for side in (False, True)
    ]
    yield TRIVIAL_RULE, Prediction(np.where(part_side, shares[1], shares[0]), part_side)


def scores(y: NDArray[np.int8], probabilities: Doubles, predicted: NDArray[np.bool_]) -> Scores:
    """Every score of one predictor on one part; `y` contains both classes.

    ROC-AUC with its standard error by Hanley and McNeil (Radiology 143, 1982), PR-AUC as average
    precision, log loss in nats, Brier score, expected calibration error over bins of equal count,
    and precision, recall, F1 and counts of the `predicted` labels.
    """
    precision, recall, f1, _ = precision_recall_fscore_support(
        y, predicted, average="binary", zero_division=0.0
    )
    (true_negatives, false_positives), (false_negatives, true_positives) = confusion_matrix(
        y, predicted, labels=[0, 1]
    ).tolist()
    roc_auc = float(roc_auc_score(y, probabilities))
    positives = int(y.sum())
    return Scores(
        samples=len(y),
        positives=positives,
        roc_auc=roc_auc,
        roc_auc_error=_roc_auc_error(roc_auc, positives, len(y) - positives),
        pr_auc=float(average_precision_score(y, probabilities)),
        log_loss=float(log_loss(y, probabilities)),
        brier=float(brier_score_loss(y, probabilities)),
        calibration_error=calibration_error(calibration(y, probabilities)),
        precision=float(precision),
        recall=float(recall),
        f1=float(f1),
        true_positives=true_positives,
        false_positives=false_positives,
        false_negatives=false_negatives,
        true_negatives=true_negatives,
    )


def calibration(y: NDArray[np.int8], probabilities: Doubles) -> tuple[CalibrationBin, ...]:
    """Samples in bins of about equal count, ascending; equal probabilities share a bin."""
    edges = np.unique(np.quantile(probabilities, np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)))
    bin_of_sample = np.searchsorted(edges[1:-1], probabilities, side="right")
    bins = []
    for index in np.unique(bin_of_sample):
        inside = bin_of_sample == index
        predicted = probabilities[inside]
        bins.append(
            CalibrationBin(
                samples=int(inside.sum()),
                lowest=float(predicted.min()),
                highest=float(predicted.max()),
                mean_probability=float(predicted.mean()),
                positive_share=float(y[inside].mean()),
            )
        )
    return tuple(bins)


def calibration_error(bins: tuple[CalibrationBin, ...]) -> float:
    """Mean distance between predicted and observed shares, weighted by samples; a fraction."""
    distances = [bin_.samples * abs(bin_.mean_probability - bin_.positive_share) for bin_ in bins]
    return sum(distances) / sum(bin_.samples for bin_ in bins)


def choose_threshold(probabilities: Doubles, y: NDArray[np.int8]) -> float:
    """The threshold with the greatest F1; of several, the highest. `y` contains a positive.

    It lies between two of the probabilities, well clear of both, and is the shortest decimal
    there, so a label never depends on the last bit of a float32.
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
    return next((value for value in candidates if abs(value - middle) <= quarter), middle)


def _roc_auc_error(area: float, positives: int, negatives: int) -> float:
    both_positive = area / (2.0 - area)
    both_negative = 2.0 * area**2 / (1.0 + area)
    variance = (
        area * (1.0 - area)
        + (positives - 1) * (both_positive - area**2)
        + (negatives - 1) * (both_negative - area**2)
    ) / (positives * negatives)
    return math.sqrt(max(variance, 0.0))
