"""Models trained once for the tests of this package."""

from typing import get_args

import pytest

from preprocess.training.card import Family
from preprocess.training.folder import ModelFolder
from preprocess.training.learner import Parameters
from preprocess.training.run import train_on
from tests.preprocess.training.samples import NOW, ORIGIN, dataset


@pytest.fixture(scope="session", params=get_args(Family))
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ModelFolder:
    """A small model of each family; not to be changed."""
    return train_on(
        dataset(),
        tmp_path_factory.mktemp("models"),
        Parameters(request.param, trees=40, learning_rate=0.1),
        origin=ORIGIN,
        now=NOW,
    )
