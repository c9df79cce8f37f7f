"""The tier in Redis for coroutines: how much travels together, and how much may wait."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from gateway.cache.redis.availability import Availability
from gateway.cache.redis.reading import VALUES
from gateway.cache.redis.remote import RemoteTier
from tests.gateway.cache.conftest import quick
from tests.redis import RedisServer


@pytest.fixture
async def tier(shared_redis: RedisServer, raw: "redis.Redis") -> AsyncIterator[RemoteTier]:
    made = RemoteTier(quick(shared_redis.url, timeout_s=5.0), Availability(30.0))
    yield made
    await made.close()


def keys(first: int, count: int) -> list[str]:
    return [f"query:{number}" for number in range(first, first + count)]


def times_read(raw: "redis.Redis") -> int:
    stats: Any = raw.info("commandstats")
    return int(stats.get("cmdstat_mget", {}).get("calls", 0))


async def test_what_does_not_fit_is_not_written(tier: RemoteTier, raw: "redis.Redis") -> None:
    for part in range(5):
        tier.write_later(dict.fromkeys(keys(part * 1_000, 1_000), (b"envelope", 100_000)))
    tier.write_later(dict.fromkeys(keys(9_000, 96), (b"envelope", 100_000)))
    await tier.close()
    found = {key.decode() for key in raw.scan_iter(match=f"{VALUES}query:*", count=10_000)}
    assert found == {VALUES + key for key in [*keys(0, 4_000), *keys(9_000, 96)]}


async def test_what_waits_is_read_in_bounded_portions(tier: RemoteTier, raw: "redis.Redis") -> None:
    before = times_read(raw)
    asked = [200, 200, 200, 700, 10, 10]
    readings = await asyncio.gather(*(tier.read(keys(0, count)) for count in asked))
    assert all(reading is not None and not reading.values for reading in readings)
    assert times_read(raw) - before == 4  # 400, 200, 700 and 20 keys


async def test_who_asks_again_at_once_is_answered(
    tier: RemoteTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All readers may have ended in this very turn of the event loop."""
    ask, gate = tier._links.send, asyncio.Event()

    async def at_once(*commands: Any) -> list[object]:
        answers = await ask(*commands)
        await gate.wait()
        return answers

    monkeypatch.setattr(tier._links, "send", at_once)

    async def caller(number: int, times: int) -> None:
        for again in range(times):
            assert await tier.read([f"query:{number}:{again}"]) is not None

    callers = []
    for number, times in enumerate((2, 1)):
        callers.append(asyncio.create_task(caller(number, times)))
        await asyncio.sleep(0.05)  # so that each has a reader of its own
    gate.set()
    async with asyncio.timeout(2.0):
        await asyncio.gather(*callers)


@pytest.mark.parametrize(("took_s", "counts"), [(0.42, True), (0.8, False)])
async def test_a_time_out_that_comes_late_says_nothing_of_redis(
    monkeypatch: pytest.MonkeyPatch, took_s: float, *, counts: bool
) -> None:
    """With a time-out of 0.4 s: the process itself was busy for the rest."""
    slow = RemoteTier(quick("redis://127.0.0.1:1", timeout_s=0.4), Availability(30.0))

    async def late(*_: Any) -> list[object]:
        time.sleep(took_s)
        raise redis.TimeoutError

    held_against: list[BaseException] = []
    monkeypatch.setattr(slow._links, "send", late)
    monkeypatch.setattr(slow._availability, "failed", held_against.append)
    assert await slow.read(["query:1"]) is None
    assert bool(held_against) is counts
    await slow.close()
