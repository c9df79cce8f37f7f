"""Stacks that integration tests share: one on a demo market, one on the real market."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from preprocess.settings import Settings
from tests.integration.stack import RunningStack, copied, fresh_settings, running, tezi
from tests.once import made_once


@pytest.fixture(scope="session", autouse=True)
def _no_folders_of_killed_servers() -> Iterator[None]:
    """Triton makes an empty folder in /tmp, by a name of its own, and a killed one leaves it."""
    temporary = Path("/tmp")
    before = set(temporary.glob("python_env_*"))
    yield
    for folder in set(temporary.glob("python_env_*")) - before:
        with suppress(OSError):  # it is not empty, or its server has removed it
            folder.rmdir()


@pytest.fixture(scope="session")
def demo_market(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A data folder with the demo market and a published model."""
    made = made_once(tmp_path_factory, "demo", lambda home: tezi(fresh_settings(home), "demo"))
    return copied(made, tmp_path_factory.mktemp("demo-stack"))


@pytest.fixture(scope="session")
def demo_stack(demo_market: Settings) -> Iterator[RunningStack]:
    """A running stack on the demo market; tests leave it as they found it."""
    with running(demo_market) as stack:
        yield stack


@pytest.fixture(scope="session")
def real_stack(
    real_market: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStack]:
    """A running stack on the real market."""
    own = copied(real_market.home, tmp_path_factory.mktemp("real-stack"))
    with running(own, covered=False) as stack:
        yield stack
