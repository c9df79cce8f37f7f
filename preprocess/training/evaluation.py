"""How well probabilities and labels fit what came."""

import math

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

from preprocess.training.model_card import CalibrationBin, Scores
from preprocess.training.native import Doubles

CALIBRATION_BINS = 10


def scores(y: NDArray[np.int8], probabilities: Doubles, predicted: NDArray[np.bool_]) -> Scores:
    """Every score of one predictor on one part; `y` holds both classes.

    ROC-AUC with its standard error by Hanley and McNeil (Radiology 143, 1982), PR-AUC as average
    precision, log loss in nats, Brier score, expected calibration error over bins of equal count,
    and precision, recall, F1 and counts of the labels that were `predicted`.
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
    places = np.searchsorted(edges[1:-1], probabilities, side="right")
    bins = []
    for place in np.unique(places):
        inside = places == place
        said = probabilities[inside]
        bins.append(
            CalibrationBin(
                samples=int(inside.sum()),
                lowest=float(said.min()),
                highest=float(said.max()),
                mean_probability=float(said.mean()),
                positive_share=float(y[inside].mean()),
            )
        )
    return tuple(bins)


def calibration_error(bins: tuple[CalibrationBin, ...]) -> float:
    """Mean distance of what was said from what came, weighted by samples; a fraction."""
    distances = [bin_.samples * abs(bin_.mean_probability - bin_.positive_share) for bin_ in bins]
    return sum(distances) / sum(bin_.samples for bin_ in bins)


def _roc_auc_error(area: float, positives: int, negatives: int) -> float:
    both_positive = area / (2.0 - area)
    both_negative = 2.0 * area**2 / (1.0 + area)
    variance = (
        area * (1.0 - area)
        + (positives - 1) * (both_positive - area**2)
        + (negatives - 1) * (both_negative - area**2)
    ) / (positives * negatives)
    return math.sqrt(max(variance, 0.0))
