"""Fixtures that every test may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from preprocess.database_url import PostgresURL
from preprocess.settings import PROJECT_ROOT, Settings
from preprocess.store.sqlite import SQLiteStore
from tests.integration.stack import fresh_settings, tezi
from tests.postgres import PostgresServer, running_server
from tests.walk import commands_before

MARKET_DATA = PROJECT_ROOT.parent / "shared" / "market-data"


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of real market data, which is private and lies beside the project."""
    if not MARKET_DATA.is_dir():
        pytest.skip("the real market data (../shared/market-data) is private and not here")
    return MARKET_DATA


@pytest.fixture(scope="session")
def real_market(market_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A data folder made by the documented commands up to `tezi publish`, on real data."""
    settings = fresh_settings(tmp_path_factory.mktemp("real"))
    for command in commands_before("up"):
        tezi(settings, *command[1:])
    return settings


@pytest.fixture
def real_store(real_market: Settings) -> Iterator[SQLiteStore]:
    """The database of the real market, for reading."""
    opened = SQLiteStore(real_market.database_path)
    yield opened
    opened.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    """An empty database with the newest schema."""
    opened = SQLiteStore(tmp_path / "market.db", write=True)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server; tests make databases of their own in it."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[PostgresURL]:
    """An empty PostgreSQL database with the newest schema."""
    with postgres_server.database() as url:
        yield url
