"""Links to Redis: each answer belongs to its question, whatever became of those before it."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import redis

from gateway.cache.redis.connection import RedisConnections
from tests.gateway.cache.conftest import quick
from tests.gateway.cache.proxy import slow_proxy
from tests.redis import RedisServer, running_redis


@pytest.fixture
async def links(shared_redis: RedisServer) -> AsyncIterator[RedisConnections]:
    made = RedisConnections(quick(shared_redis.url, timeout_s=1.0))
    yield made
    await made.close()


async def test_answers_come_in_the_order_of_the_commands(links: RedisConnections) -> None:
    assert await links.send(("SET", "a", b"\x00\xff", "PX", 10_000)) == [b"OK"]
    assert await links.send(("GET", "a"), ("MGET", "a", "none")) == [
        b"\x00\xff",
        [b"\x00\xff", None],
    ]


async def test_a_refusal_is_an_answer_and_takes_no_other_with_it(links: RedisConnections) -> None:
    await links.send(("SET", "text", "t"))
    refused, held = await links.send(("HGET", "text", "field"), ("GET", "text"))
    assert isinstance(refused, redis.ResponseError)
    assert held == b"t"
    assert await links.send(("GET", "text")) == [b"t"]


async def test_one_connection_for_each_question_under_way_at_once(
    shared_redis: RedisServer, links: RedisConnections, raw: "redis.Redis"
) -> None:
    before = len(raw.client_list())
    for _ in range(5):
        await links.send(("PING",))
    assert len(raw.client_list()) == before + 1
    await asyncio.gather(*(links.send(("PING",)) for _ in range(3)))
    await asyncio.gather(*(links.send(("PING",)) for _ in range(3)))
    assert len(raw.client_list()) == before + 3


async def test_a_connection_that_redis_has_closed_meanwhile_is_opened_anew(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_redis(tmp_path_factory.mktemp("own")) as server:
        links = RedisConnections(quick(server.url, timeout_s=1.0))
        await links.send(("SET", "a", "1"))
        server.kill()
        with pytest.raises(redis.ConnectionError):
            await links.send(("GET", "a"))
        server.start()
        assert await links.send(("GET", "a")) == [None]
        server.kill()
        server.start()
        assert await links.send(("GET", "a")) == [None]  # without an error in between
        await links.close()


async def test_a_late_answer_is_nobodys(shared_redis: RedisServer) -> None:
    with slow_proxy(shared_redis.port) as proxy:
        links = RedisConnections(quick(proxy.url, timeout_s=0.5))
        await links.send(("MSET", "a", "1", "b", "2"))
        proxy.delay_s = 0.75
        with pytest.raises(redis.TimeoutError, match="500 ms"):
            await links.send(("GET", "a"))
        proxy.delay_s = 0.0
        for _ in range(3):
            assert await links.send(("GET", "b")) == [b"2"]
            await asyncio.sleep(0.25)
        await links.close()


async def test_who_was_busy_reads_what_lies_there(shared_redis: RedisServer) -> None:
    links = RedisConnections(quick(shared_redis.url, timeout_s=0.2))
    await links.send(("SET", "a", "1"))
    for steps in range(6):
        asked = asyncio.create_task(links.send(("GET", "a")))
        for _ in range(steps):  # somewhere between asking and reading
            await asyncio.sleep(0)
        time.sleep(0.3)
        assert await asked == [b"1"]
    await links.close()


async def test_the_answers_to_another_question_are_noticed(shared_redis: RedisServer) -> None:
    with slow_proxy(shared_redis.port) as proxy:
        links = RedisConnections(quick(proxy.url, timeout_s=1.0))
        await links.send(("MSET", "a", "1", "b", "2"))
        proxy.times = 2
        assert await links.send(("GET", "a")) == [b"1"]
        with pytest.raises(ValueError, match="another request"):
            await links.send(("GET", "b"))
        proxy.times = 1
        assert await links.send(("GET", "b")) == [b"2"]
        await links.close()


async def test_who_is_cancelled_leaves_no_answer_behind(shared_redis: RedisServer) -> None:
    with slow_proxy(shared_redis.port) as proxy:
        links = RedisConnections(quick(proxy.url, timeout_s=1.0))
        await links.send(("MSET", "a", "1", "b", "2"))
        proxy.delay_s = 0.05
        asked = asyncio.create_task(links.send(("GET", "a")))
        await asyncio.sleep(0.02)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await links.send(("GET", "b")) == [b"2"]
        await links.close()
