"""Scores against small cases worked out by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest

from preprocess.training.card import CalibrationBin
from preprocess.training.evaluation import calibration, calibration_error, scores

Y = np.array([1, 1, 0, 0, 0], dtype=np.int8)
P = np.array([0.8, 0.3, 0.5, 0.2, 0.1])


def test_scores_by_hand() -> None:
    found = scores(Y, P, P >= 0.4)
    # Of the 2 x 3 pairs of a positive and a negative all but (0.3, 0.5) are in order.
    assert found.roc_auc == pytest.approx(5 / 6)
    # Precision 1 at the first positive, 2/3 at the second, each half of the recall.
    assert found.pr_auc == pytest.approx((1 + 2 / 3) / 2)
    assert found.brier == pytest.approx((0.04 + 0.49 + 0.25 + 0.04 + 0.01) / 5)
    likelihoods = (0.8, 0.3, 0.5, 0.8, 0.9)
    assert found.log_loss == pytest.approx(-sum(map(math.log, likelihoods)) / 5)
    counts = (
        found.true_positives,
        found.false_positives,
        found.false_negatives,
        found.true_negatives,
    )
    assert counts == (1, 1, 1, 2)
    assert (found.precision, found.recall, found.f1) == (0.5, 0.5, 0.5)
    assert (found.samples, found.positives) == (5, 2)


def test_the_area_s_standard_error_by_hand() -> None:
    area = 5 / 6
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (q1 - area**2) + 2 * (q2 - area**2)) / 6
    assert scores(Y, P, P >= 0.4).roc_auc_error == pytest.approx(math.sqrt(variance))


def test_nothing_predicted_counts_as_zero_precision() -> None:
    found = scores(Y, P, P >= 0.99)
    assert (found.precision, found.recall, found.f1) == (0.0, 0.0, 0.0)
    assert found.true_negatives == 3


def test_bins_hold_like_counts_in_order() -> None:
    p = np.linspace(0.0, 0.99, 100)
    y = (np.arange(100) % 4 == 0).astype(np.int8)
    bins = calibration(y, p)
    assert [item.samples for item in bins] == [10] * 10
    assert bins[0].lowest == 0.0
    assert bins[0].mean_probability == pytest.approx(0.045)
    assert bins[0].positive_share == pytest.approx(0.3)
    assert all(a.highest < b.lowest for a, b in pairwise(bins))


def test_equal_probabilities_share_a_bin() -> None:
    p = np.array([0.2] * 50 + [0.7] * 50)
    y = np.array([1] * 10 + [0] * 40 + [1] * 40 + [0] * 10, dtype=np.int8)
    low, high = calibration(y, p)
    assert (low.samples, low.lowest, low.highest, low.positive_share) == (50, 0.2, 0.2, 0.2)
    assert (high.samples, high.lowest, high.highest, high.positive_share) == (50, 0.7, 0.7, 0.8)
    assert high.mean_probability == pytest.approx(0.7)
    (only,) = calibration(y, np.full(100, 0.3))
    assert only.samples == 100


def test_calibration_error_weighs_by_samples() -> None:
    bins = (CalibrationBin(30, 0, 0.1, 0.1, 0.2), CalibrationBin(10, 0.2, 0.4, 0.3, 0.0))
    assert calibration_error(bins) == pytest.approx((30 * 0.1 + 10 * 0.3) / 40)
