"""The two tiers together: what is held, for how long, and what a clear takes out."""

import os
import threading
import time
from pathlib import Path

import pytest
import redis

from gateway.cache.cache_manager import MISS, CacheManager
from gateway.cache.invalidation import Invalidation
from gateway.cache.plan import Plan
from gateway.cache.redis.reading import VALUES
from preprocess.errors import CacheError, SettingsError
from preprocess.settings import load_settings
from tests.gateway.cache.conftest import quick
from tests.redis import RedisServer


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def never() -> object:
    raise AssertionError("computed although it is held")


@pytest.mark.parametrize("value", [None, False, 0, "", [], 0.0])
def test_an_empty_value_is_a_hit(
    value: object, shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    first, second = (CacheManager(quick(shared_redis.url)) for _ in range(2))
    first.set("k", value, 100)
    assert first.get("k") == value
    assert second.get("k") == value  # by way of Redis
    assert second.get_or_compute("k", never, 100) == value
    assert (first.stats.local_hits, second.stats.remote_hits) == (1, 1)
    assert second.stats.local_hits == 1
    first.close()
    second.close()


def test_a_miss_is_told_apart_and_counted() -> None:
    cache = CacheManager()
    assert cache.get_hit_rate() == 0.0
    assert cache.get("k") is MISS
    cache.set("k", 1, 10)
    assert cache.get("k") == 1
    assert cache.get_hit_rate() == 0.5


def test_values_come_back_as_copies() -> None:
    cache = CacheManager()
    held = [1, [2]]
    cache.set("k", held, 10)
    held.append(3)
    got = cache.get("k")
    assert got == [1, [2]]
    assert isinstance(got, list)
    got.clear()
    assert cache.get("k") == [1, [2]]


def test_times_end_in_the_process() -> None:
    clock = Clock()
    cache = CacheManager(quick(local_ttl_s=60), clock=clock)
    cache.set("short", 1, 10)
    cache.set("long", 1, 1000)
    clock.now += 8.9
    assert cache.get("short") == 1
    clock.now += 1.2
    assert cache.get("short") is MISS
    clock.now += 50
    assert cache.get("long") is MISS  # 60 s in the process, at most
    cache.set("none", 1, 0)
    assert cache.get("none") is MISS


def test_the_least_recently_used_leave_first() -> None:
    cache = CacheManager(quick(local_entries=3))
    for name in "abc":
        cache.set(name, name, 10)
    assert cache.get("a") == "a"
    cache.set("d", "d", 10)
    assert [cache.get(name) is MISS for name in "abcd"] == [False, True, False, False]


def test_the_local_time_never_outlives_that_of_redis(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    writer, reader = (CacheManager(quick(shared_redis.url)) for _ in range(2))
    writer.set("k", 1, 2.0)
    assert 0 < int(raw.pttl(f"{VALUES}k")) <= 2000
    time.sleep(0.5)
    assert reader.get("k") == 1  # held in the process from now on, for what is left
    time.sleep(1.51)
    assert raw.get(f"{VALUES}k") is None
    assert reader.get("k") is MISS
    assert writer.get("k") is MISS
    writer.close()
    reader.close()


def test_a_value_ends_even_if_redis_would_keep_it(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    cache, other = (CacheManager(quick(shared_redis.url)) for _ in range(2))
    cache.set("k", 1, 2.0)
    assert raw.persist(f"{VALUES}k")
    assert other.get("k") == 1
    time.sleep(2.01)
    assert raw.exists(f"{VALUES}k") == 1
    assert other.get("k") is MISS
    cache.close()
    other.close()


@pytest.mark.parametrize("remote", [False, True])
def test_one_computation_a_key(remote: bool, shared_redis: RedisServer, raw: "redis.Redis") -> None:
    cache = CacheManager(quick(shared_redis.url if remote else ""))
    runs: list[int] = []

    def compute() -> object:
        runs.append(1)
        time.sleep(0.1)
        return {"answer": 42}

    answers: list[object] = []
    callers = [
        threading.Thread(target=lambda: answers.append(cache.get_or_compute("k", compute, 10)))
        for _ in range(16)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert answers == [{"answer": 42}] * 16
    assert len(runs) == 1
    cache.close()


def test_all_who_wait_get_the_error_and_the_next_one_tries_again() -> None:
    cache = CacheManager()
    entered = threading.Event()
    release = threading.Event()

    def failing() -> object:
        entered.set()
        release.wait(5)
        raise OSError("no luck")

    errors: list[BaseException] = []

    def ask() -> None:
        try:
            cache.get_or_compute("k", failing, 10)
        except OSError as error:
            errors.append(error)

    callers = [threading.Thread(target=ask) for _ in range(4)]
    callers[0].start()
    assert entered.wait(5)
    for caller in callers[1:]:
        caller.start()
    time.sleep(0.05)
    release.set()
    for caller in callers:
        caller.join()
    assert len(errors) == 4
    assert cache.get_or_compute("k", lambda: 1, 10) == 1


def test_what_was_begun_before_a_clear_is_not_kept_after_it(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    cache = CacheManager(quick(shared_redis.url))
    entered, release = threading.Event(), threading.Event()

    def old() -> object:
        entered.set()
        release.wait(5)
        return "old"

    leader = threading.Thread(target=cache.get_or_compute, args=("k", old, 10))
    leader.start()
    assert entered.wait(5)
    cache.invalidate_pattern("*")
    assert cache.get_or_compute("k", lambda: "new", 10) == "new"  # joins no older computation
    release.set()
    leader.join()
    assert cache.get("k") == "new"
    cache.close()


def test_a_clear_takes_what_matches_in_both_tiers_and_nothing_else(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    writer, reader = (CacheManager(quick(shared_redis.url)) for _ in range(2))
    raw.set("query:foreign", "stays")
    for number in range(2_500):
        writer.set(f"query:{number}", number, 100)
    writer.set("features:1", 1, 100)
    assert writer.invalidate_pattern("query:*") == 2_500
    assert writer.get("query:2499") is MISS
    assert reader.get("query:3") is MISS
    assert reader.get("features:1") == 1
    assert raw.get("query:foreign") == b"stays"
    writer.close()
    reader.close()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", Invalidation(everything=True)),
        ("pred*", Invalidation(everything=True)),
        ("*:500001:*", Invalidation(everything=True)),
        ("query:*", Invalidation(scopes=("queries",))),
        ("prediction:*", Invalidation(scopes=("predictions",))),
        ("prediction:5000*", Invalidation(scopes=("predictions",))),
        ("prediction:500001*", Invalidation(scopes=("predictions",))),
        ("prediction:500001:*", Invalidation(scopes=("predictions:500001",))),
        ("features:500001:2024-0[12]-*", Invalidation(scopes=("features:500001",))),
        ("prediction:500001:2024-01-01:7:fp32", Invalidation(scopes=("predictions:500001",))),
        ("call:module.name:*", Invalidation(scopes=("others",))),
        ("k", Invalidation(scopes=("others",))),
        ("", Invalidation(scopes=("others",))),
    ],
)
def test_a_pattern_means_the_least_that_has_all_of_it(pattern: str, expected: object) -> None:
    assert Invalidation.matching(pattern) == expected


def test_a_computation_runs_in_the_thread_that_asks_and_may_ask_itself() -> None:
    cache = CacheManager()

    def outer() -> object:
        return [threading.get_ident(), cache.get_or_compute("inner", threading.get_ident, 10)]

    assert cache.get_or_compute("outer", outer, 10) == [threading.get_ident()] * 2
    cache.close()


@pytest.mark.parametrize("error", [StopIteration("x"), KeyError("x")])
def test_any_error_of_a_computation_comes_through(error: Exception) -> None:
    cache = CacheManager()

    def fails() -> object:
        raise error

    with pytest.raises((KeyError, RuntimeError)):
        cache.get_or_compute("k", fails, 10)
    cache.close()


def test_a_forked_process_has_a_cache_of_its_own(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    cache = CacheManager(quick(shared_redis.url))
    cache.set("k", 1, 100)
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        found = cache.get("k") == 1 and cache.get_or_compute("other", lambda: 2, 100) == 2
        cache.close()
        os._exit(0 if found and cache.stats.remote_hits == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cache.get("other") == 2
    cache.close()


def test_a_closed_cache_leaves_no_thread_and_goes_on(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    before = set(threading.enumerate())
    cache = CacheManager(quick(shared_redis.url))
    cache.set("k", 1, 100)
    cache.close()
    assert set(threading.enumerate()) == before
    assert cache.get("k") == 1
    cache.close()


def test_a_large_value_is_computed_each_time() -> None:
    cache = CacheManager()
    large = b"x" * (Plan().largest + 1)
    cache.set("k", large, 10)
    assert cache.get("k") is MISS
    assert cache.get_or_compute("k", lambda: large, 10) == large


def test_a_value_of_a_foreign_type_is_refused() -> None:
    with pytest.raises(CacheError, match="cannot be cached"):
        CacheManager().get_or_compute("k", object, 10)


def test_the_cache_of_the_settings(
    shared_redis: RedisServer, raw: "redis.Redis", tmp_path: Path
) -> None:
    cache = CacheManager.from_settings(load_settings(redis_url=shared_redis.url, data_dir=tmp_path))
    cache.set("k", 1, 10)
    assert raw.exists("tezi:4:value:k") == 1
    cache.close()
    assert (
        CacheManager.from_settings(load_settings(redis_url="", data_dir=tmp_path)).get("k") is MISS
    )
    with pytest.raises(SettingsError, match="TEZI_REDIS_URL"):
        CacheManager.from_settings(load_settings(redis_url="http://nowhere", data_dir=tmp_path))
