"""Stacks that integration tests share: one on a demo market, one on the real market."""

from collections.abc import Iterator

import pytest

from preprocess.settings import Settings
from tests.integration.stack import RunningStack, fresh_settings, running, tezi


@pytest.fixture(scope="session")
def demo_market(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A data folder with the demo market and a published model."""
    settings = fresh_settings(tmp_path_factory.mktemp("demo"))
    tezi(settings, "demo")
    return settings


@pytest.fixture(scope="session")
def demo_stack(demo_market: Settings) -> Iterator[RunningStack]:
    """A running stack on the demo market; tests leave it as they found it."""
    with running(demo_market) as stack:
        yield stack


@pytest.fixture(scope="session")
def real_stack(real_market: Settings) -> Iterator[RunningStack]:
    """A running stack on the real market."""
    with running(real_market) as stack:
        yield stack
