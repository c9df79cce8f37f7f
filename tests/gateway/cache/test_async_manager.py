"""The asynchronous front: one computation for all, and nobody's leaving cancels it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest
import redis

from gateway.cache.async_cache_manager import AsyncCacheManager
from gateway.cache.cache_manager import MISS, CacheManager
from gateway.cache.redis.reading import VALUES
from preprocess.errors import CacheError
from preprocess.settings import load_settings
from tests.gateway.cache.conftest import quick
from tests.redis import RedisServer

KEYS = [f"prediction:50000{number}:2024-01-01:7:fp32" for number in range(10)]


@pytest.fixture(params=["redis", "alone"])
async def cache(
    request: pytest.FixtureRequest, shared_redis: RedisServer, raw: "redis.Redis"
) -> AsyncIterator[AsyncCacheManager]:
    # A busy machine may be late by more than Redis is given elsewhere; none of these is about that.
    address = shared_redis.url if request.param == "redis" else ""
    made = AsyncCacheManager(quick(address, timeout_s=2.0, lease_s=2.0, renew_s=0.5))
    yield made
    await made.close()


def calls(raw: "redis.Redis", command: str) -> int:
    stats: Any = raw.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


async def test_a_thousand_callers_are_one_computation(cache: AsyncCacheManager) -> None:
    runs = 0

    async def compute() -> object:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.05)
        return {"answer": [42]}

    answers = await asyncio.gather(
        *(cache.get_or_compute("query:1", compute, 100) for _ in range(1000))
    )
    assert answers == [{"answer": [42]}] * 1000
    assert runs == 1


async def test_a_caller_that_leaves_cancels_nobody(cache: AsyncCacheManager) -> None:
    release = asyncio.Event()

    async def compute() -> object:
        await release.wait()
        return "right"

    first = asyncio.create_task(cache.get_or_compute("k", compute, 100))
    await asyncio.sleep(0.02)
    second = asyncio.create_task(cache.get_or_compute("k", compute, 100))
    await asyncio.sleep(0.02)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    release.set()
    assert await second == "right"
    assert await cache.get("k") == "right"


async def test_an_error_is_shared_and_not_kept(cache: AsyncCacheManager) -> None:
    async def fails() -> object:
        await asyncio.sleep(0.01)
        raise OSError("no luck")

    async def works() -> object:
        return 1

    found = await asyncio.gather(
        *(cache.get_or_compute("k", fails, 100) for _ in range(5)), return_exceptions=True
    )
    assert [str(error) for error in found] == ["no luck"] * 5
    assert await cache.get_or_compute("k", works, 100) == 1


async def test_of_ten_keys_those_that_lack_are_computed_together(cache: AsyncCacheManager) -> None:
    await cache.set_many(dict.fromkeys(KEYS[:7], "held"), 100)
    asked: list[tuple[str, ...]] = []

    async def compute(keys: Sequence[str]) -> Mapping[str, object]:
        asked.append(tuple(keys))
        await asyncio.sleep(0.01)
        return {KEYS[7]: "made", KEYS[8]: "too"}

    both = await asyncio.gather(*(cache.get_or_compute_many(KEYS, compute, 100) for _ in range(2)))
    for found in both:
        assert found == dict.fromkeys(KEYS[:7], "held") | {KEYS[7]: "made", KEYS[8]: "too"}
    assert asked == [tuple(KEYS[7:])]
    assert set((await cache.get_many(KEYS)).values) == set(KEYS[:9])


async def test_one_question_and_one_write_a_request(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    writer, reader = (
        AsyncCacheManager(quick(shared_redis.url)),
        CacheManager(quick(shared_redis.url)),
    )
    await writer.get("query:none")
    before = {name: calls(raw, name) for name in ("mget", "set")}

    async def compute(keys: Sequence[str]) -> Mapping[str, object]:
        return dict.fromkeys(keys, 1)

    await writer.get_or_compute_many(KEYS, compute, 100)
    assert calls(raw, "mget") - before["mget"] == 1
    await writer.get_or_compute_many(KEYS[:1], compute, 100)  # held, though not yet in Redis
    await writer.close()  # writes what is to be written
    assert calls(raw, "set") - before["set"] == 10
    assert (await asyncio.to_thread(reader.get_many, KEYS)).values == dict.fromkeys(KEYS, 1)
    await asyncio.to_thread(reader.close)


async def test_what_is_computed_one_after_the_other_is_written_together(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    cache = AsyncCacheManager(quick(shared_redis.url))
    await cache.get("query:none")

    async def compute() -> object:
        return 1

    for key in KEYS[:3]:
        await cache.get_or_compute(key, compute, 100)
    assert raw.mget([VALUES + key for key in KEYS[:3]]) == [None] * 3
    await asyncio.sleep(0.1)
    assert all(raw.mget([VALUES + key for key in KEYS[:3]]))
    await cache.close()


async def test_both_fronts_invalidate_for_each_other(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    one, two = AsyncCacheManager(quick(shared_redis.url)), CacheManager(quick(shared_redis.url))
    for stocks in (["500001"], None):
        await one.set(KEYS[1], "old", 100)
        assert await asyncio.to_thread(two.get, KEYS[1]) == "old"
        await (one.invalidate(stocks=stocks) if stocks else one.invalidate_pattern("*"))
        assert await asyncio.to_thread(two.get, KEYS[1]) is MISS
    await one.set(KEYS[1], "old", 100)
    await asyncio.to_thread(two.invalidate, kind="predictions")
    assert await one.get(KEYS[1]) is MISS
    assert one.get_hit_rate("predictions") == 0.0
    assert one.stats.misses == 1
    await asyncio.to_thread(two.close)
    await one.close()


async def test_functions(cache: AsyncCacheManager) -> None:
    seen: list[int] = []

    @cache.cached(100)
    async def double(x: int, *, times: int = 2) -> int:
        seen.append(x)
        return x * times

    assert [await double(1), await double(x=1), await double(1, times=2)] == [2, 2, 2]
    assert await double(1, times=3) == 3
    assert seen == [1, 1]
    assert double.__name__ == "double"
    with pytest.raises(CacheError, match="is not async"):
        cache.cached(1)(len)  # type: ignore[arg-type]  # what is refused


async def test_who_waits_when_it_is_closed_is_told() -> None:
    cache = AsyncCacheManager(quick())

    async def never() -> object:
        return await asyncio.Future()

    waiting = asyncio.create_task(cache.get_or_compute("k", never, 100))
    await asyncio.sleep(0.01)
    await cache.close()
    with pytest.raises(CacheError, match="closed"):
        await waiting


async def test_a_kind_that_is_switched_off_is_computed_each_time(
    shared_redis: RedisServer, raw: "redis.Redis", tmp_path: Any
) -> None:
    settings = load_settings(redis_url=shared_redis.url, data_dir=tmp_path, cache_queries=False)
    cache = AsyncCacheManager.from_settings(settings)
    runs: list[int] = []

    async def compute() -> object:
        runs.append(1)
        return "made"

    for _ in range(2):
        assert await cache.get_or_compute(KEYS[0], compute, 100) == "made"
        assert await cache.get_or_compute("query:1", compute, 100) == "made"
    assert len(runs) == 3
    assert cache.core.statistics.of("queries").asked == 0
    await cache.close()
