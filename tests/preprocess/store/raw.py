"""Statements that go past the store, as someone with a database shell would run them."""

import sqlite3
from contextlib import closing
from typing import Any

from preprocess.database_url import SQLiteURL
from preprocess.store.postgres.connection import connect
from tests.preprocess.store.places import Place


def run(place: Place, sql: str) -> list[tuple[Any, ...]]:
    """Run one statement in the database of `place` and commit it; the rows it gave."""
    if isinstance(place.url, SQLiteURL):
        with closing(sqlite3.connect(place.url.path, isolation_level=None)) as connection:
            return connection.execute(sql).fetchall()
    with closing(connect(place.url)) as postgres:
        return postgres.query_once(sql)
