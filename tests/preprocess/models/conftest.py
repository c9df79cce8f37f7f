"""Models trained once for the tests of this package."""

import shutil
from pathlib import Path

import pytest

from preprocess.training.folder import ModelFolder
from tests.preprocess.training.conftest import trained

__all__ = ["trained"]


@pytest.fixture
def model(trained: ModelFolder, tmp_path: Path) -> ModelFolder:
    """A copy of a trained model's folder, to be changed at will."""
    copy = tmp_path / "models" / trained.path.name
    shutil.copytree(trained.path, copy)
    return ModelFolder.open(copy)
