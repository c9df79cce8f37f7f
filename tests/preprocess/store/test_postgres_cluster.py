"""The weekly maintenance clusters the bars of PostgreSQL, and locks out no reader."""

from contextlib import closing

import pytest

from preprocess.database_url import PostgresURL
from preprocess.store.postgres import upkeep as postgres_upkeep
from preprocess.store.postgres.connection import connect
from preprocess.store.postgres.store import PostgresStore
from preprocess.store.postgres.upkeep import PostgresUpkeep
from tests.builders import bars
from tests.preprocess.store.markets import assert_same_columns

# How many times the heap goes from one page to another in the order of the key.
PAGES = (
    "SELECT count(*) FROM (SELECT (ctid::text::point)[0] AS page,"
    " lag((ctid::text::point)[0]) OVER (ORDER BY bse_code, date) AS before FROM price_movements) p"
    " WHERE page IS DISTINCT FROM before"
)


def test_vacuum_clusters_and_says_when_it_could_not(
    postgres_url: PostgresURL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_upkeep, "CLUSTER_WAIT_S", 0.2)
    with (
        closing(PostgresStore(postgres_url, write=True)) as store,
        closing(PostgresUpkeep(postgres_url)) as upkeep,
        closing(connect(postgres_url)) as reader,
    ):
        for close in range(1, 9):  # day by day in turns: a stock's bars lie scattered
            with store.transaction() as writer:
                for number in range(60):
                    code = f"{number:06d}"
                    first = bars(code, [1.0] * 20 * close)[-1].day
                    writer.put_prices(bars(code, [float(close)] * 20, first))
        before = store.columns()
        ((scattered,),) = reader.query_once(PAGES)
        reader.run("BEGIN")
        reader.query_once("SELECT count(*) FROM price_movements")
        assert "not clustered" in upkeep.vacuum()
        reader.run("COMMIT")
        assert "not clustered" not in upkeep.vacuum()
        ((side_by_side,),) = reader.query_once(PAGES)
        assert side_by_side < scattered / 4
        assert_same_columns(store.columns(), before)
