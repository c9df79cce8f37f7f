"""Fixtures of the store's tests: what holds for one database holds for the other."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from preprocess.database_url import SQLiteURL
from preprocess.store import Store
from tests.postgres import PostgresServer
from tests.preprocess.store.places import Place

BREAK = "DROP TABLE corporate_actions"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty database with the newest schema."""
    if request.param == "sqlite":
        path = tmp_path / "market.db"

        def break_file() -> None:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(BREAK)

        here = Place(SQLiteURL(path), break_file)
        here.open().close()
        with here.closing:
            yield here
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        with server.database() as url:
            here = Place(url, lambda: server.run(BREAK, url.database))
            with here.closing:
                yield here


@pytest.fixture
def store(place: Place) -> Store:
    """A store for writing in an empty database."""
    return place.open()
