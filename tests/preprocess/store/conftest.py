"""Fixtures of the store's tests, each run on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from preprocess.database_url import SQLiteURL
from preprocess.store import Store
from tests.postgres import PostgresServer
from tests.preprocess.store.markets import TestDatabase


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestDatabase]:
    """An empty database with the newest schema."""
    if request.param == "sqlite":
        here = TestDatabase(SQLiteURL(tmp_path / "market.db"))
        here.open().close()
        with here.closing:
            yield here
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        with server.database() as url:
            here = TestDatabase(url)
            with here.closing:
                yield here


@pytest.fixture
def store(database: TestDatabase) -> Store:
    """A store for writing in an empty database."""
    return database.open()
