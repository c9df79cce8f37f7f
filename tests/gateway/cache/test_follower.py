"""The change log becomes invalidations, in every replica and for those that were not there."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis

from gateway.cache.cache_manager import CacheManager
from gateway.cache.invalidation import MANY_STOCKS
from gateway.cache.market_changes import Follower
from gateway.cache.redis.reading import GENERATIONS
from preprocess.market.values import Change, Mark
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import bars
from tests.gateway.cache.conftest import quick
from tests.redis import RedisServer

CODES = ("500001", "500002")


@pytest.fixture(params=["redis", "alone"])
def cache(
    request: pytest.FixtureRequest, shared_redis: RedisServer, raw: "redis.Redis"
) -> Iterator[CacheManager]:
    made = CacheManager(quick(shared_redis.url if request.param == "redis" else ""))
    yield made
    made.close()


def fill(cache: CacheManager) -> None:
    for code in CODES:
        cache.set(f"features:{code}:d:h", 1, 100)
        cache.set(f"prediction:{code}:d:1:fp32", 1, 100)


def stocks(cache: CacheManager) -> set[str]:
    keys = [f"{kind}:{code}:d:1" for kind in ("features", "prediction") for code in CODES]
    keys = [key.replace(":1", ":h") if "features" in key else f"{key}:fp32" for key in keys]
    return {key.split(":")[1] for key in cache.get_many(keys).values}


def commit(store: SQLiteStore, code: str, *closes: float) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars(code, list(closes)))


def test_a_commit_drops_its_stock_alone(store: SQLiteStore, cache: CacheManager) -> None:
    commit(store, "500001", 10.0)
    follower = Follower(cache.core)
    follower.poll(store)
    fill(cache)
    assert follower.poll(store) == 0
    assert stocks(cache) == {"500001", "500002"}
    commit(store, "500001", 10.5)
    assert follower.poll(store) == 1
    assert stocks(cache) == {"500002"}
    assert follower.poll(store) == 0


def test_a_commit_while_nobody_followed_is_made_up_for(
    store: SQLiteStore, shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    commit(store, "500001", 10.0)
    first = CacheManager(quick(shared_redis.url))
    Follower(first.core).poll(store)
    fill(first)
    first.close()
    commit(store, "500001", 10.5)
    later = CacheManager(quick(shared_redis.url))
    assert Follower(later.core).poll(store) == 1
    assert stocks(later) == {"500002"}
    later.close()


def test_what_nobody_knows_the_age_of_is_dropped(
    store: SQLiteStore, shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    cache = CacheManager(quick(shared_redis.url))
    fill(cache)
    cache.set("query:1", 1, 100)
    commit(store, "500001", 10.0)
    Follower(cache.core).poll(store)
    assert stocks(cache) == set()
    assert cache.get("query:1") == 1
    fill(cache)
    raw.hset(GENERATIONS, "followed", "no place")
    Follower(cache.core).poll(store)
    assert stocks(cache) == set()
    cache.close()


def test_two_replicas_follow_and_the_second_finds_it_done(
    store: SQLiteStore, shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    replicas = [CacheManager(quick(shared_redis.url)) for _ in range(2)]
    followers = [Follower(cache.core) for cache in replicas]
    for follower in followers:
        follower.poll(store)
    for cache in replicas:
        fill(cache)
    commit(store, "500002", 10.0)
    assert followers[0].poll(store) == 1
    number = raw.hget(GENERATIONS, "number")
    assert followers[1].poll(store) == 1
    assert [stocks(cache) for cache in replicas] == [{"500001"}] * 2
    assert raw.hget(GENERATIONS, "number") == number
    for cache in replicas:
        cache.close()


def test_another_database_in_its_place(
    store: SQLiteStore, cache: CacheManager, tmp_path: Path
) -> None:
    commit(store, "500001", 10.0)
    follower = Follower(cache.core)
    follower.poll(store)
    fill(cache)
    other = SQLiteStore(tmp_path / "other.db", write=True)
    commit(other, "500001", 11.0)
    follower.poll(other)
    assert stocks(cache) == set()
    other.close()


class Evening:
    """A change log in which a whole market has changed."""

    poll_interval_s = 0.0

    def __init__(self) -> None:
        self.length = 0

    def mark(self) -> Mark:
        return Mark(self.length, "token")

    def has_mark(self, mark: Mark) -> bool:
        return True

    def changes_since(self, sequence: int) -> list[Change]:
        day = bars("500001", [1.0])[0].day
        return [Change(n, f"{500_000 + n}", day) for n in range(sequence, self.length)]


def test_a_whole_market_is_named_by_kind(cache: CacheManager) -> None:
    evening = Evening()
    follower = Follower(cache.core)
    follower.poll(evening)
    fill(cache)
    evening.length = MANY_STOCKS + 1
    assert follower.poll(evening) == MANY_STOCKS + 1
    assert stocks(cache) == set()


class Lagging:
    """A change log whose other readers hear of a commit half a second later."""

    poll_interval_s = 0.5

    def __init__(self, store: SQLiteStore) -> None:
        self._store = store

    def mark(self) -> Mark:
        return self._store.mark()

    def has_mark(self, mark: Mark) -> bool:
        return self._store.has_mark(mark)

    def changes_since(self, sequence: int) -> Sequence[Change]:
        return self._store.changes_since(sequence)


def test_what_was_computed_of_old_data_after_a_commit_is_dropped_as_well(
    store: SQLiteStore, cache: CacheManager
) -> None:
    now = 100.0
    follower = Follower(cache.core, clock=lambda: now)
    log = Lagging(store)
    commit(store, "500001", 10.0)
    for _ in range(2):
        follower.poll(log)
        now += 10.0
    commit(store, "500001", 10.5)
    assert follower.poll(log) == 1
    fill(cache)  # by somebody who has not heard of the commit
    now += 0.4
    follower.poll(log)
    assert stocks(cache) == {"500001", "500002"}
    now += 0.2
    follower.poll(log)
    assert stocks(cache) == {"500002"}
    fill(cache)
    now += 10.0
    follower.poll(log)
    assert stocks(cache) == {"500001", "500002"}
