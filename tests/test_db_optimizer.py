"""DBOptimizer as its users meet it, on both databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from preprocess.cache_manager import CacheManager
from preprocess.database_url import SQLiteURL
from preprocess.db_optimizer import DBOptimizer
from preprocess.errors import StoreError
from preprocess.market import CircuitLabel, DailyPrediction, Stock
from preprocess.settings import load_settings
from preprocess.store import Store
from preprocess.store.pool import Pool
from preprocess.store.slow_log import SlowQueryLog
from preprocess.store.statements import Statement
from preprocess.store.tools import Rows
from tests.builders import bars
from tests.store.conftest import place, store
from tests.store.places import Place
from tests.store.raw import run

__all__ = ["place", "store"]

CLOSES = "SELECT date, close FROM price_movements WHERE bse_code = ? ORDER BY date"


@pytest.fixture
def market(store: Store) -> Store:
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [10.0, 11.0]))
        writer.put_stocks([Stock("500001", "ABC")])
        writer.replace_labels("500001", [CircuitLabel(date(2024, 1, 1), date(2024, 1, 2), 10.0, 1)])
    return store


@pytest.fixture
def optimizer(place: Place, market: Store, tmp_path: Path) -> DBOptimizer:
    made = DBOptimizer(place.settings(data_dir=tmp_path, redis_url=""))
    place.closing.callback(made.close)
    return made


def test_a_query_is_answered_out_of_the_cache_until_the_market_changes(
    optimizer: DBOptimizer, market: Store, place: Place
) -> None:
    first = optimizer.query_with_cache(CLOSES, ("500001",))
    assert first == Rows(("date", "close"), (("2024-01-01", 10.0), ("2024-01-02", 11.0)))
    # Past the store, so that only the cache can give the old answer.
    run(place, "UPDATE price_movements SET close = 10.5, high = 11 WHERE date = '2024-01-01'")
    assert (
        optimizer.query_with_cache(f"  {CLOSES.replace('SELECT', 'select')};", ["500001"]) == first
    )
    with market.transaction() as writer:
        writer.put_prices(bars("500002", [1.0]))
    assert optimizer.query_with_cache(CLOSES, ("500001",)).rows[0] == ("2024-01-01", 10.5)


def test_samples_that_were_refreshed_are_seen(optimizer: DBOptimizer) -> None:
    query = "SELECT close FROM announcement_samples"
    assert optimizer.query_with_cache(query).rows == ()
    assert optimizer.refresh_samples().rows == 1
    assert optimizer.query_with_cache(query).rows == ((10.0,),)
    assert [sample.label for sample in optimizer.samples().rows] == [1]


def test_stored_predictions_are_never_out_of_the_cache(
    optimizer: DBOptimizer, market: Store
) -> None:
    query = "SELECT count(*) FROM daily_predictions"
    assert optimizer.query_with_cache(query).rows == ((0,),)
    day = date(2024, 1, 2)
    row = DailyPrediction("500001", day, 1, 0, 0.25, "HIGH", "fp32", datetime.now(UTC))
    with market.transaction() as writer:
        writer.put_predictions([row])
    assert optimizer.query_with_cache(query).rows == ((1,),)


def test_a_time_to_live_of_nothing_keeps_nothing(optimizer: DBOptimizer, place: Place) -> None:
    assert optimizer.query_with_cache(CLOSES, ("500001",), ttl=0).rows[0][1] == 10.0
    run(place, "UPDATE price_movements SET close = 10.5, high = 11 WHERE date = '2024-01-01'")
    assert optimizer.query_with_cache(CLOSES, ("500001",)).rows[0][1] == 10.5


def test_parameters_by_name_and_days(optimizer: DBOptimizer) -> None:
    named = "SELECT close FROM price_movements WHERE bse_code = :code AND date = :day"
    found = optimizer.query_with_cache(named, {"code": "500001", "day": date(2024, 1, 2)})
    assert found.rows == ((11.0,),)
    like = "SELECT nse_symbol, '50 %?' FROM stocks WHERE nse_symbol LIKE 'A%' AND bse_code = ?"
    assert optimizer.query_with_cache(like, ("500001",)).rows == (("ABC", "50 %?"),)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM stocks",
        "PRAGMA query_only = OFF",
        "SELECT nothing FROM nowhere",
        "SELECT 1; DELETE FROM stocks",
        "WITH gone AS (SELECT 1) DELETE FROM stocks",
        "",
    ],
)
def test_only_queries_are_run(optimizer: DBOptimizer, market: Store, query: str) -> None:
    with pytest.raises(StoreError):
        optimizer.query_with_cache(query)
    assert len(market.stocks()) == 1
    assert optimizer.query_with_cache(CLOSES, ("500001",)).rows


def test_wrong_parameters_are_told(optimizer: DBOptimizer) -> None:
    with pytest.raises(StoreError):
        optimizer.query_with_cache(CLOSES, ("500001", "one too many"))
    with pytest.raises(StoreError):
        optimizer.query_with_cache("SELECT :a", {"b": 1})


def test_a_cache_that_is_given_is_shared_and_left_open(place: Place, market: Store) -> None:
    cache = CacheManager()
    settings = place.settings(redis_url="")
    for _ in range(2):
        with DBOptimizer(settings, cache) as optimizer:
            optimizer.query_with_cache(CLOSES, ("500001",))
    assert cache.get_hit_rate() == 0.5


def test_the_pool_is_bounded_and_reads_only(optimizer: DBOptimizer) -> None:
    pool = optimizer.create_connection_pool(size=2, wait_s=0.05)
    query = "SELECT 1 FROM stocks"

    def ask(connection: Any) -> list[Any]:
        cursor = connection.cursor()
        cursor.execute(query)
        rows = list(cursor.fetchall())
        cursor.close()
        return rows

    with pool.connection() as first, pool.connection() as second:
        assert ask(first) == ask(second) == [(1,)]
        assert first is not second
        with pytest.raises(StoreError, match="in use"), pool.connection():
            pass
    assert (pool.size, pool.idle) == (2, 2)
    with pytest.raises(StoreError), pool.connection() as broken:
        broken.cursor().execute("DELETE FROM stocks")
    with pytest.raises(KeyError), pool.connection():
        raise KeyError("a caller's own")
    with pool.connection() as left_open:
        left_open.cursor().execute("BEGIN")
    with pool.connection() as closed:
        closed.close()
    with pool.connection() as connection:
        assert ask(connection) == [(1,)]
    with pool.connection() as outer, ThreadPoolExecutor(1) as another:
        assert another.submit(borrowed, pool, ask).result(5) == ask(outer) == [(1,)]
    with pool.connection():
        pool.close()
    with pytest.raises(StoreError, match="closed"), pool.connection():
        pass
    assert pool.idle == 0
    with pytest.raises(StoreError, match="at least one"):
        optimizer.create_connection_pool(size=0)


def borrowed(pool: Pool, ask: Callable[[Any], list[Any]]) -> list[Any]:
    with pool.connection() as connection:
        return ask(connection)


def test_slow_queries_are_analysed_with_those_of_the_product(
    optimizer: DBOptimizer, market: Store, place: Place, tmp_path: Path
) -> None:
    slow = SlowQueryLog(tmp_path / "slow_queries.jsonl", slower_than_ms=1)
    slow(Statement("SELECT * FROM stocks WHERE nse_symbol = ?", ("ABC",), 900.0))
    seen: list[tuple[int, int]] = []
    analysis = optimizer.analyze_slow_queries(lambda done, total: seen.append((done, total)))
    sources = {report.query.source for report in analysis.reports}
    assert sources == {"product", "slow-query log"}
    assert analysis.reports[-1].query.name == "slow/1"
    assert seen[-1] == (len(analysis.reports), len(analysis.reports))
    assert all(report.plan for report in analysis.reports)
    assert optimizer.create_indexes(analysis.recommendations) is not None


def test_upkeep(optimizer: DBOptimizer) -> None:
    assert isinstance(optimizer.vacuum_database(), str)
    optimizer.analyze_database()
    optimizer.reindex()


def test_no_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="tezi demo"):
        DBOptimizer(load_settings(database_url=f"sqlite:///{tmp_path}/none.db"))
    assert not isinstance(load_settings(database_url="").database, str)
    assert isinstance(load_settings(database_url="").database, SQLiteURL)
