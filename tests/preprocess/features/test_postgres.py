"""Features from PostgreSQL: bit for bit those of SQLite, and a server that stops and restarts."""

import signal
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from preprocess.database_url import PostgresURL
from preprocess.feature_optimizer import FeatureOptimizer
from preprocess.market.calendar import from_day_number
from preprocess.serving.service import FeatureService
from preprocess.store import Store
from preprocess.store.copying import copy_market
from preprocess.store.postgres.store import PostgresStore
from preprocess.store.sqlite.store import SQLiteStore
from tests.postgres import PostgresServer


@pytest.fixture
def copied(demo_database: Path, postgres_url: PostgresURL) -> Iterator[PostgresStore]:
    """The demo market in PostgreSQL."""
    with (
        closing(SQLiteStore(demo_database)) as source,
        closing(PostgresStore(postgres_url, write=True)) as target,
    ):
        copy_market(source, target)
        yield target


def bits_of_every_fifth_day(store: Store, days: int) -> list[bytes]:
    newest = store.columns().newest_day()
    assert newest is not None
    optimizer = FeatureOptimizer(store)
    return [
        np.ascontiguousarray(
            optimizer.batch_extract_features(None, from_day_number(newest - back)).to_numpy()
        ).tobytes()
        for back in range(0, days, 5)
    ]


def test_features_are_the_bits_of_sqlite(demo_store: SQLiteStore, copied: PostgresStore) -> None:
    found = bits_of_every_fifth_day(copied, 200)
    assert found == bits_of_every_fifth_day(demo_store, 200)
    assert len(set(found)) > 20


def test_a_database_that_goes_and_comes_back(
    copied: PostgresStore, postgres_server: PostgresServer
) -> None:
    """No row is served from memory while the database cannot confirm that it is current."""
    service = FeatureService(lambda: PostgresStore(copied.url))
    day = date(2026, 8, 14).isoformat().encode()
    codes = [code.encode() for code in copied.bse_codes()[:5]]

    def ask() -> tuple[set[bytes], bytes]:
        service.close()  # so that the change log is read at once
        batch = service.rows(codes, [day] * len(codes))
        return set(batch.status), batch.values.tobytes()

    before = ask()
    assert before[0] == {b"OK"}
    postgres_server.stop(signal.SIGQUIT)
    try:
        assert ask()[0] == {b"STORE_UNAVAILABLE"}
    finally:
        postgres_server.start()
    assert ask() == before
    service.close()
