"""A data folder for quick benchmarks, whose market is made once."""

import pytest

from preprocess.settings import Settings
from tests.integration.stack import fresh_settings


@pytest.fixture(scope="session")
def bench_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a folder that benchmarks may fill."""
    return fresh_settings(tmp_path_factory.mktemp("bench"))
