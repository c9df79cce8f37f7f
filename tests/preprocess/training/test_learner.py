"""Fitting: deterministic, as asked for, and no constant where there is a signal."""

import hashlib
import json
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from preprocess.errors import TrainingError
from preprocess.training.card import Family
from preprocess.training.learner import MAX_BIN, Parameters, fit
from tests.preprocess.training.samples import dataset

FAMILIES = get_args(Family)


def digest(parameters: Parameters, samples_seed: int = 1) -> str:
    samples = dataset(400, seed=samples_seed)
    return hashlib.sha256(fit(parameters, samples.x, samples.y).native.to_bytes()).hexdigest()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_input_gives_the_same_bytes_and_another_seed_others(family: Family) -> None:
    parameters = Parameters(family, trees=20)
    assert digest(parameters) == digest(parameters)
    assert digest(parameters) != digest(Parameters(family, trees=20, seed=43))
    assert digest(parameters) != digest(parameters, samples_seed=2)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_forest_is_as_asked_for(family: Family) -> None:
    samples = dataset(800)
    parameters = Parameters(family, trees=37, depth=3, learning_rate=0.2)
    fitted = fit(parameters, samples.x, samples.y)
    attributes = {item.name: item for item in fitted.native.tree_node().attribute}
    trees = np.array(attributes["nodes_treeids"].ints)
    assert np.unique(trees).tolist() == list(range(37))
    assert np.bincount(trees).max() <= 2**4 - 1
    assert max(len(points) for points in fitted.native.forest().split_points) <= MAX_BIN
    assert (fitted.parameters["n_estimators"], fitted.parameters["max_depth"]) == (37, 3)
    assert fitted.parameters["learning_rate"] == 0.2
    assert fitted.parameters["max_bin"] == MAX_BIN
    json.dumps(fitted.parameters)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_finds_a_signal_on_samples_it_has_not_seen(family: Family) -> None:
    seen, unseen = dataset(1500), dataset(1500, seed=2)
    fitted = fit(Parameters(family, trees=100), seen.x, seen.y)
    assert roc_auc_score(unseen.y, fitted.native.probabilities(unseen.x)) > 0.75


def test_more_trees_take_smaller_steps_unless_told() -> None:
    assert Parameters(trees=500).step == 0.01
    assert Parameters(trees=2000).step == 0.0025
    assert Parameters(trees=5).step == 0.1
    assert Parameters(trees=5, learning_rate=0.7).step == 0.7


@pytest.mark.parametrize("labels", [np.zeros(30), np.ones(30), np.zeros(0)])
def test_one_class_is_refused(labels: NDArray[np.float64]) -> None:
    samples = dataset(30)
    with pytest.raises(TrainingError, match=r"the same label.*TEZI_CIRCUIT_PCT"):
        fit(Parameters(), samples.x[: len(labels)], labels.astype(np.int8))
