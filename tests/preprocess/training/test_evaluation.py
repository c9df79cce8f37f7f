"""Scores, baselines and thresholds on small cases worked out by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from preprocess.features.manifest import FEATURE_COUNT, FEATURE_NAMES
from preprocess.models.gate import f1
from preprocess.training.card import CalibrationBin
from preprocess.training.dataset import Dataset
from preprocess.training.evaluation import (
    BASE_RATE,
    BASELINE_RULES,
    TRIVIAL_RULE,
    baselines,
    calibration,
    calibration_error,
    choose_threshold,
    scores,
)

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


def surprises(values: list[float], labels: list[int]) -> Dataset:
    x = np.zeros((len(values), FEATURE_COUNT), dtype=np.float32)
    x[:, FEATURE_NAMES.index("earnings_surprise")] = values
    days = np.arange(len(values), dtype=np.int32)
    codes = np.array(["500000"] * len(values))
    return Dataset(codes, days, x, np.array(labels, dtype=np.int8), days + 1)


def test_they_rest_on_the_training_part_alone() -> None:
    train = surprises([1, 1, 1, 1, 0, 0, np.nan, 0], [1, 1, 1, 0, 0, 0, 1, 0])
    part = surprises([0, 1, np.nan], [1, 1, 1])
    found = dict(baselines(train, part))
    assert found.keys() == BASELINE_RULES.keys() == {BASE_RATE, TRIVIAL_RULE}
    assert found[BASE_RATE].probabilities.tolist() == [0.5, 0.5, 0.5]
    assert found[BASE_RATE].positive.tolist() == [True, True, True]
    assert found[TRIVIAL_RULE].probabilities.tolist() == [0.25, 0.75, 0.25]
    assert found[TRIVIAL_RULE].positive.tolist() == [False, True, False]


def test_a_side_never_seen_takes_the_base_rate() -> None:
    train = surprises([0, 0, 0, 0], [1, 0, 0, 0])
    found = dict(baselines(train, surprises([1, 0], [0, 1])))
    assert found[TRIVIAL_RULE].probabilities == pytest.approx([0.25, 0.25])


def test_of_equal_ones_the_highest() -> None:
    # F1 is 2/3 from 0.9 on (1 hit of 1, 2 positives) and 2/3 again from 0.2 on (2 of 4).
    probabilities = np.array([0.9, 0.6, 0.5, 0.2])
    y = np.array([1, 0, 0, 1], dtype=np.int8)
    assert 0.6 < choose_threshold(probabilities, y) < 0.9


def test_a_short_decimal_clear_of_both_neighbours() -> None:
    y = np.array([1, 0], dtype=np.int8)
    assert choose_threshold(np.array([0.168_301, 0.167_899]), y) == 0.168
    assert choose_threshold(np.array([0.168_240, 0.168_161]), y) == 0.1682


def test_never_between_answers_that_rounding_could_swap() -> None:
    probabilities = np.array([0.5, 0.5 - 1e-7, 0.2])
    # The cut between the first two would be best, but float32 cannot keep them apart.
    threshold = choose_threshold(probabilities, np.array([1, 0, 0], dtype=np.int8))
    assert 0.2 < threshold < 0.5 - 1e-6


@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=60).filter(
        lambda pairs: any(positive for _, positive in pairs)
    )
)
def test_no_other_cut_does_better(pairs: list[tuple[int, bool]]) -> None:
    probabilities = np.array([level / 50 for level, _ in pairs])
    y = np.array([positive for _, positive in pairs], dtype=np.int8)
    chosen = f1(y, probabilities >= choose_threshold(probabilities, y))
    best = max(f1(y, probabilities >= cut) for cut in probabilities)
    assert chosen == pytest.approx(best)
