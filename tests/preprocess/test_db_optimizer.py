"""DBOptimizer as users call it, on both databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway.cache.cache_manager import CacheManager
from preprocess.database_url import SQLiteURL
from preprocess.db_optimizer import DBOptimizer
from preprocess.errors import StoreError
from preprocess.market.values import CircuitLabel, Stock
from preprocess.settings import load_settings
from preprocess.store import Pool, Store
from preprocess.store.pool import Rows
from preprocess.store.queries import NamedQuery
from tests.builders import bars
from tests.preprocess.store.conftest import database, store
from tests.preprocess.store.markets import TestDatabase

__all__ = ["database", "store"]

CLOSES = "SELECT date, close FROM price_movements WHERE bse_code = ? ORDER BY date"
EDIT = "UPDATE price_movements SET close = 10.5, high = 11 WHERE date = '2024-01-01'"


class DictCache:
    """Bytes by key, and the times they were to be kept for."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.ttls: list[float] = []

    def get(self, key: str) -> object:
        return self.kept.get(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        self.kept[key] = value
        self.ttls.append(ttl)


@pytest.fixture
def market(store: Store) -> Store:
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [10.0, 11.0]))
        writer.put_stocks([Stock("500001", "ABC")])
        writer.replace_labels("500001", [CircuitLabel(date(2024, 1, 1), date(2024, 1, 2), 10.0, 1)])
    return store


@pytest.fixture
def cache() -> DictCache:
    return DictCache()


@pytest.fixture
def optimizer(database: TestDatabase, market: Store, cache: DictCache) -> DBOptimizer:
    made = DBOptimizer(database.settings(), cache)
    database.closing.callback(made.close)
    return made


def test_a_query_is_served_from_the_cache_until_the_market_changes(
    optimizer: DBOptimizer, market: Store, database: TestDatabase, cache: DictCache
) -> None:
    first = optimizer.query_with_cache(CLOSES, ("500001",))
    assert first == Rows(("date", "close"), (("2024-01-01", 10.0), ("2024-01-02", 11.0)))
    assert cache.ttls == [300]
    assert all(key.startswith("query:") and len(key) == 6 + 64 for key in cache.kept)
    database.run(EDIT)  # past the store, so that only the cache can give the old answer
    assert optimizer.query_with_cache(CLOSES, ["500001"]) == first
    with market.transaction() as writer:
        writer.put_prices(bars("500002", [1.0]))
    assert optimizer.query_with_cache(CLOSES, ("500001",)).rows[0] == ("2024-01-01", 10.5)


def test_other_parameters_have_another_cache_key(optimizer: DBOptimizer, cache: DictCache) -> None:
    query = "SELECT close FROM price_movements WHERE bse_code = ? AND date = ?"
    for day, close in (("2024-01-01", 10.0), ("2024-01-02", 11.0)):
        for _ in range(2):
            assert optimizer.query_with_cache(query, ("500001", day)).rows == ((close,),)
    assert len(cache.kept) == 2


def test_without_a_cache_or_a_ttl_each_query_runs(
    optimizer: DBOptimizer, database: TestDatabase, cache: DictCache
) -> None:
    with DBOptimizer(database.settings()) as plain:
        assert plain.query_with_cache(CLOSES, ("500001",)).rows[0][1] == 10.0
        database.run(EDIT)
        assert plain.query_with_cache(CLOSES, ("500001",)).rows[0][1] == 10.5
    assert optimizer.query_with_cache(CLOSES, ("500001",), ttl=0).rows[0][1] == 10.5
    assert cache.kept == {}


def test_the_cache_manager_is_a_cache_of_queries(database: TestDatabase, market: Store) -> None:
    cache = CacheManager()
    with DBOptimizer(database.settings(), cache) as optimizer:
        first = optimizer.query_with_cache(CLOSES, ("500001",))
        database.run(EDIT)
        assert optimizer.query_with_cache(CLOSES, ("500001",)) == first
    assert cache.get_hit_rate() == 0.5
    cache.close()


def test_days_and_percent_signs(optimizer: DBOptimizer) -> None:
    dated = "SELECT close FROM price_movements WHERE bse_code = ? AND date = ?"
    assert optimizer.query_with_cache(dated, ("500001", date(2024, 1, 2))).rows == ((11.0,),)
    like = "SELECT nse_symbol, '50 %' FROM stocks WHERE nse_symbol LIKE 'A%' AND bse_code = ?"
    assert optimizer.query_with_cache(like, ("500001",)).rows == (("ABC", "50 %"),)
    assert optimizer.query_with_cache("SELECT '50 %' FROM stocks").rows == (("50 %",),)


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


def test_wrong_parameters_are_an_error(optimizer: DBOptimizer) -> None:
    for wrong in (("500001", "one too many"), (), (object(),)):
        with pytest.raises(StoreError):
            optimizer.query_with_cache(CLOSES, wrong)


def test_the_samples_are_joined_and_queried(optimizer: DBOptimizer) -> None:
    query = "SELECT bse_code, close, label FROM announcement_samples"
    assert optimizer.refresh_samples() == 1
    assert optimizer.query_with_cache(query).rows == (("500001", 10.0, 1),)


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


def borrowed(pool: Pool[Any], ask: Callable[[Any], list[Any]]) -> list[Any]:
    with pool.connection() as connection:
        return ask(connection)


def test_the_queries_of_the_product_are_explained_slowest_first(optimizer: DBOptimizer) -> None:
    reports = optimizer.analyze_slow_queries()
    spent = [report.plan.milliseconds for report in reports]
    assert len(reports) > 10
    assert spent == sorted(spent, reverse=True)
    assert all(spent_ms > 0 for spent_ms in spent)
    assert all(report.plan.lines for report in reports)


def test_a_query_of_ones_own_is_explained(optimizer: DBOptimizer, market: Store) -> None:
    scan = NamedQuery("by symbol", "SELECT * FROM stocks WHERE nse_symbol = ?", ("ABC",))
    (report,) = optimizer.analyze_slow_queries([scan])
    assert any("stocks" in line for line in report.plan.lines)
    with pytest.raises(StoreError):
        optimizer.analyze_slow_queries([NamedQuery("a change", "DELETE FROM stocks")])
    assert len(market.stocks()) == 1


def test_an_empty_market_is_analysed(store: Store, database: TestDatabase) -> None:
    with DBOptimizer(database.settings()) as optimizer:
        assert optimizer.analyze_slow_queries()


def test_indexes_are_made_once(optimizer: DBOptimizer, database: TestDatabase) -> None:
    names = optimizer.create_indexes()
    for name in names:
        database.run(f"DROP INDEX {name}")  # fails if there is none
    assert optimizer.create_indexes() == optimizer.create_indexes() == names
    for name in names:
        database.run(f"DROP INDEX {name}")


def test_upkeep(optimizer: DBOptimizer) -> None:
    assert isinstance(optimizer.vacuum_database(), str)
    optimizer.analyze_database()
    optimizer.reindex()


def test_a_missing_database_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="tezi demo"):
        DBOptimizer(load_settings(database_url=f"sqlite:///{tmp_path}/none.db"))
    assert isinstance(load_settings(database_url="").database, SQLiteURL)
