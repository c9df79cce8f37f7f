"""What a model must beat."""

import numpy as np
import pytest

from preprocess.features.manifest import FEATURE_COUNT, FEATURE_NAMES
from preprocess.training.dataset import Dataset
from preprocess.training.evaluation import BASE_RATE, BASELINE_RULES, TRIVIAL_RULE, baselines


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
