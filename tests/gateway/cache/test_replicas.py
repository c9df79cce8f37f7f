"""Several replicas: what one forgets, none answers with."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gateway.cache.cache_manager import MISS, CacheManager, Plan
from gateway.cache.clears_file import CLEARS_FILE
from gateway.cache.redis.reading import GENERATIONS
from preprocess.errors import CacheError
from tests.gateway.cache.conftest import quick
from tests.redis import RedisServer, running_redis

FEATURES = "features:500001:2024-01-01:abc"
PREDICTION = "prediction:500001:2024-01-01:7:fp32"
OTHER = "features:500002:2024-01-01:abc"

Pair = tuple[CacheManager, CacheManager]


def pair(plan: Plan) -> Iterator[Pair]:
    both = CacheManager(plan), CacheManager(plan)
    yield both
    for cache in both:
        cache.close()


@pytest.fixture(params=["redis", "file"])
def replicas(
    request: pytest.FixtureRequest, shared_redis: RedisServer, raw: "redis.Redis", tmp_path: Path
) -> Iterator[Pair]:
    """Two that know of each other by Redis, or by the file alone."""
    with_redis = request.param == "redis"
    plan = quick(shared_redis.url) if with_redis else quick(folder=tmp_path)
    yield from pair(plan)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that this test may spoil."""
    with running_redis(tmp_path) as server:
        yield server


def fill(*caches: CacheManager) -> None:
    """Have all of them hold a value under each key, in their own memory."""
    for cache in caches:
        for key in (FEATURES, PREDICTION, OTHER, "query:1"):
            assert cache.get_or_compute(key, lambda: "old", 100) == "old"


def others_of(cache: CacheManager, *keys: str) -> set[str]:
    """What another replica can still answer: it forgets all of its memory, and reads Redis."""
    return set(keys) if cache.core.plan.redis_url else set()


def held(cache: CacheManager) -> set[str]:
    lookup = cache.get_many([FEATURES, PREDICTION, OTHER, "query:1"])
    assert set(lookup.values.values()) <= {"old"}
    return set(lookup.values)


def test_a_stock_is_forgotten_everywhere_and_no_other(replicas: Pair) -> None:
    fill(*replicas)
    assert replicas[0].invalidate(stocks=["500001"]) >= 2
    assert held(replicas[0]) == {OTHER, "query:1"}
    assert held(replicas[1]) == others_of(replicas[1], OTHER, "query:1")


def test_a_kind_is_forgotten_everywhere_and_no_other(replicas: Pair) -> None:
    fill(*replicas)
    replicas[1].invalidate(kind="features")
    assert held(replicas[1]) == {PREDICTION, "query:1"}
    assert held(replicas[0]) == others_of(replicas[0], PREDICTION, "query:1")
    replicas[0].invalidate(kind="predictions", stocks=["500001"])
    assert [held(cache) for cache in replicas] == [others_of(replicas[0], "query:1")] * 2
    with pytest.raises(CacheError, match="belong to no stock"):
        replicas[0].invalidate(kind="queries", stocks=["500001"])


def test_everything_and_nothing(replicas: Pair) -> None:
    fill(*replicas)
    assert replicas[0].invalidate(stocks=[]) == 0
    assert len(held(replicas[1])) == 4
    assert replicas[0].invalidate() == 4
    assert [held(cache) for cache in replicas] == [set()] * 2


def test_a_pattern_takes_what_matches_and_nothing_else(replicas: Pair) -> None:
    fill(*replicas)
    replicas[0].invalidate_pattern("features:500001:2024-01-0?:*")
    assert held(replicas[0]) == {PREDICTION, OTHER, "query:1"}
    assert held(replicas[1]) == others_of(replicas[1], PREDICTION, OTHER, "query:1")
    replicas[0].invalidate_pattern("prediction:*")
    assert held(replicas[0]) == {OTHER, "query:1"}
    assert replicas[1].get_or_compute(FEATURES, lambda: "new", 100) == "new"
    assert replicas[0].get_or_compute(PREDICTION, lambda: "new", 100) == "new"
    assert replicas[0].get(FEATURES) in ("new", MISS)


@pytest.mark.parametrize("pattern", ["features:500001:*", "features:*", "*", None])
def test_what_was_begun_before_is_kept_by_nobody(replicas: Pair, pattern: str | None) -> None:
    entered, release = threading.Event(), threading.Event()

    def old() -> object:
        entered.set()
        assert release.wait(5)
        return "old"

    slow = threading.Thread(target=replicas[1].get_or_compute, args=(FEATURES, old, 100))
    slow.start()
    assert entered.wait(5)
    if pattern is None:
        replicas[0].invalidate(stocks=["500001"])
    else:
        replicas[0].invalidate_pattern(pattern)
    assert replicas[1].get_or_compute(FEATURES, lambda: "new", 100) == "new"  # joins nothing old
    release.set()
    slow.join()
    assert [cache.get_or_compute(FEATURES, lambda: "new", 100) for cache in replicas] == ["new"] * 2


def test_a_lookup_from_before_cannot_put_its_value_back(replicas: Pair) -> None:
    lookup = replicas[1].get_many([FEATURES, OTHER])
    assert lookup.missing == (FEATURES, OTHER)
    replicas[0].invalidate(stocks=["500001"])
    replicas[1].set_many({FEATURES: "old", OTHER: "fine"}, 100, since=lookup)
    replicas[1].set(OTHER, "fine", 100, since=lookup)
    assert FEATURES not in replicas[1].get_many([FEATURES, OTHER]).values
    assert replicas[0].get(FEATURES) is MISS


def test_predictions_made_of_features_that_were_on_their_way_out(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    """Another replica may give out old features until it has heard: who used them is forgotten."""
    plan = quick(shared_redis.url, lease_s=1.0)
    writer, reader = replicas = CacheManager(plan), CacheManager(plan)
    fill(writer, reader)
    watch = reader.core.watch
    assert watch is not None
    with watch._polling:  # the reader hears nothing
        forgetting = threading.Thread(target=writer.invalidate, kwargs={"stocks": ["500001"]})
        forgetting.start()
        end = time.monotonic() + 5
        while raw.hget(GENERATIONS, "predictions:500001") is None:
            assert time.monotonic() < end
        time.sleep(0.05)  # the writer itself has forgotten too, and waits
        made = writer.get_or_compute(PREDICTION, lambda: reader.get(FEATURES), 100)
        assert made == "old"
    forgetting.join()
    assert writer.get(PREDICTION) is MISS
    for cache in replicas:
        cache.close()


def test_a_replica_that_hears_nothing_answers_nothing_old(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    writer, reader = CacheManager(quick(shared_redis.url)), CacheManager(quick(shared_redis.url))
    fill(writer, reader)
    watch = reader.core.watch
    assert watch is not None
    with watch._polling:
        began = time.monotonic()
        writer.invalidate(stocks=["500001"])
        assert time.monotonic() - began < 2 * reader.core.plan.lease_s + 0.5
        assert held(reader) == {OTHER, "query:1"}  # by way of Redis
    writer.close()
    reader.close()


def test_generations_that_redis_lost_let_nothing_old_through(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    writer, reader = CacheManager(quick(shared_redis.url)), CacheManager(quick(shared_redis.url))
    fill(writer, reader)
    writer.invalidate(stocks=["500001"])
    raw.delete(GENERATIONS)
    time.sleep(0.25)
    for cache in (writer, reader):
        assert cache.get_or_compute(FEATURES, lambda: "new", 100) == "new"
    assert reader.get(FEATURES) == "new"
    writer.close()
    reader.close()


def test_a_redis_that_comes_back_with_old_data_is_a_new_one(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    cache = CacheManager(quick(shared_redis.url))
    cache.set(FEATURES, "old", 100)
    raw.hset(GENERATIONS, "run", "the server before")
    other = CacheManager(quick(shared_redis.url))
    assert other.get(FEATURES) is MISS
    time.sleep(0.25)
    assert cache.get(FEATURES) is MISS
    cache.close()
    other.close()


def test_eleven_thousand_stocks_at_once(replicas: Pair) -> None:
    fill(*replicas)
    began = time.monotonic()
    replicas[0].invalidate(stocks=[f"{500_000 + number}" for number in range(11_000)])
    assert time.monotonic() - began < 3.0
    assert held(replicas[0]) == {"query:1"}
    assert held(replicas[1]) == others_of(replicas[1], "query:1")


def test_what_redis_missed_others_of_the_machine_tell_it(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    plan = quick(own_redis.url, folder=tmp_path / "cache", timeout_s=0.05, retry_s=0.3)
    writer, reader = CacheManager(plan), CacheManager(plan)
    fill(writer, reader)
    own_redis.freeze()
    writer.invalidate(stocks=["500001"])
    own_redis.thaw()
    writer.close()  # and will never tell
    late = CacheManager(plan)
    for cache in (reader, late):
        assert cache.get(FEATURES) is MISS
    end = time.monotonic() + 5
    while not reader.core.availability.may_be_asked:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert reader.get(FEATURES) is MISS
    reader.close()
    late.close()


def test_a_file_that_is_gone_is_begun_anew(tmp_path: Path) -> None:
    for one, two in pair(quick(folder=tmp_path / "cache")):
        for _ in range(2):
            fill(one, two)
            two.invalidate(stocks=["500001"])
            assert FEATURES not in held(one)
            (tmp_path / "cache" / CLEARS_FILE).unlink()


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(CacheError, match="cannot be written"):
        CacheManager(quick(folder=tmp_path / "taken"))
