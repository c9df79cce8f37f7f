"""Fixtures that every test may ask for."""

from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from preprocess.database_url import PostgresURL
from preprocess.demo.market import build_demo_market
from preprocess.features.derive import refresh_derived
from preprocess.market.values import StockHistory
from preprocess.settings import Settings
from preprocess.store.sqlite.store import SQLiteStore
from tests.integration.stack import fresh_settings, tezi
from tests.once import made_once
from tests.paths import PROJECT_ROOT
from tests.postgres import PostgresServer, running_server
from tests.walk import commands_before

MARKET_DATA = PROJECT_ROOT.parent / "shared" / "market-data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with servers first: they wait a lot, and others have the processor meanwhile."""
    items.sort(key=lambda item: "integration" not in item.path.parts)


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of real market data, which is private and lies beside the project."""
    if not MARKET_DATA.is_dir():
        pytest.skip("the real market data (../shared/market-data) is private and not here")
    return MARKET_DATA


@pytest.fixture(scope="session")
def real_market(market_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A data folder made by the documented commands up to `tezi publish`, on real data."""

    def walk(home: Path) -> None:
        for command in commands_before("up"):
            tezi(fresh_settings(home), *command[1:], covered=False)

    return fresh_settings(made_once(tmp_path_factory, "real", walk))


@pytest.fixture
def real_store(real_market: Settings) -> Iterator[SQLiteStore]:
    """The database of the real market, for reading."""
    opened = SQLiteStore(real_market.database_path)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def real_histories(real_market: Settings) -> list[StockHistory]:
    """All stocks of the real market, ascending by code."""
    with closing(SQLiteStore(real_market.database_path)) as opened:
        return list(opened.histories())


@pytest.fixture(scope="session")
def demo_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo market with labels and stamps, for reading: 60 stocks, 300 trading days."""
    path = tmp_path_factory.mktemp("demo") / "market.db"
    with closing(SQLiteStore(path, write=True)) as opened:
        build_demo_market(
            opened,
            last_day=date(2026, 8, 14),
            stocks=60,
            trading_days=300,
            derive=lambda writer: refresh_derived(writer, circuit_pct=5.0),
        )
    return path


@pytest.fixture
def demo_store(demo_database: Path) -> Iterator[SQLiteStore]:
    """The small demo market."""
    opened = SQLiteStore(demo_database)
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
