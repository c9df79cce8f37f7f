"""Fixtures that every test may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from preprocess.settings import PROJECT_ROOT
from preprocess.store.sqlite import SQLiteStore

MARKET_DATA = PROJECT_ROOT.parent / "shared" / "market-data"


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of real market data, which is private and lies beside the project."""
    if not MARKET_DATA.is_dir():
        pytest.skip("the real market data (../shared/market-data) is private and not here")
    return MARKET_DATA


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    """An empty database with the newest schema."""
    opened = SQLiteStore(tmp_path / "market.db", write=True)
    yield opened
    opened.close()
