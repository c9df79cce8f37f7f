"""Redis gone, slow, wrong: answers stay right, one warning, and back when it is back."""

import asyncio
import logging
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from gateway.cache.async_cache_manager import AsyncCacheManager
from gateway.cache.cache_manager import MISS, CacheManager
from gateway.cache.codec import encode
from gateway.cache.redis.reading import VALUES, Stamp, decode_envelope, encode_envelope
from gateway.cache.redis.watch import THREAD_NAME
from tests.gateway.cache.conftest import quick
from tests.gateway.cache.proxy import slow_proxy
from tests.redis import RedisServer, running_redis


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that this test may spoil."""
    with running_redis(tmp_path_factory.mktemp("own")) as server:
        yield server


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def until_up(cache: CacheManager) -> None:
    """Wait for the thread that retries."""
    end = time.monotonic() + 30
    while not cache.core.availability.may_be_asked:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_killed_and_back(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    cache = CacheManager(quick(own_redis.url, retry_s=0.2, local_ttl_s=0.05))
    cache.set("k", 1, 100)
    own_redis.kill()
    for number in range(50):
        assert cache.get_or_compute(f"q{number}", lambda: number, 100) == number  # noqa: B023
    assert not cache.core.availability.is_up
    assert len(warnings_of(caplog)) == 1
    assert "does not answer" in warnings_of(caplog)[0]
    assert "redis" in warnings_of(caplog)[0].lower()
    own_redis.start()
    until_up(cache)
    assert cache.get("k") is MISS  # a Redis that began anew holds nothing
    cache.set("k", 2, 100)
    assert cache.core.availability.is_up
    end = time.monotonic() + 30
    while len(warnings_of(caplog)) < 2:  # the thread says it just after
        assert time.monotonic() < end
        time.sleep(0.01)
    assert [line.split(" (")[0] for line in warnings_of(caplog)] == [
        "Redis does not answer",
        "Redis answers again: caching in Redis too",
    ]
    other = CacheManager(quick(own_redis.url))
    assert other.get("k") == 2
    cache.close()
    other.close()


def test_frozen(own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    cache = CacheManager(quick(own_redis.url, retry_s=60))
    cache.set("k", 1, 100)
    own_redis.freeze()
    try:
        began = time.monotonic()
        for number in range(200):
            assert cache.get_or_compute(f"q{number}", lambda: number, 100) == number  # noqa: B023
        spent = time.monotonic() - began
    finally:
        own_redis.thaw()
    assert spent < 200 * 0.3 / 4  # a few time-outs of 0.3 s, then Redis is left alone
    assert len(warnings_of(caplog)) == 1
    cache.close()


def test_a_reply_that_comes_late_is_nobodys(own_redis: RedisServer) -> None:
    cache = CacheManager(quick(own_redis.url, local_ttl_s=0.001))
    cache.set("a", "A", 100)
    cache.set("b", "B", 100)
    time.sleep(0.01)
    own_redis.freeze()
    assert cache.get("a") is MISS  # asked, not answered in time
    own_redis.thaw()
    time.sleep(0.1)
    assert cache.get("b") == "B"
    cache.close()


def test_garbage_and_another_keys_value_are_misses(
    shared_redis: RedisServer, raw: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    cache = CacheManager(quick(shared_redis.url))
    raw.set(f"{VALUES}text", b"garbage", px=100_000)
    raw.set(
        f"{VALUES}foreign",
        encode_envelope("other", encode("other", 666), Stamp(b"", 0), 10**15),
        px=100_000,
    )
    raw.lpush(f"{VALUES}list", "a")
    raw.pexpire(f"{VALUES}list", 100_000)
    for key in ("text", "foreign", "list"):
        assert cache.get_or_compute(key, lambda: "right", 100) == "right"
        assert cache.get(key) == "right"
    time.sleep(0.2)  # what was computed is written behind the answer
    envelope = raw.get(f"{VALUES}text")
    assert isinstance(envelope, bytes)
    assert decode_envelope("text", envelope).body == encode("text", "right")
    assert warnings_of(caplog) == []  # a bad value is no bad Redis
    cache.close()


class Babbler(socketserver.BaseRequestHandler):
    """Answers every command with what the server has been told to say."""

    def handle(self) -> None:
        while self.request.recv(65536):
            self.request.sendall(self.server.says)  # type: ignore[attr-defined]  # set below


@pytest.mark.parametrize(
    "says",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\xff\xfe\r\n",
        b"$-5\r\n$3\r\nab",
        b":notanumber\r\n:1\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n" * 2,
        b"*2\r\n+OK\r\n",
        b"+OK\r\n+OK\r\n",
        b"$5\r\nhello\r\n:5000\r\n",
        b"*1\r\n:1\r\n*0\r\n",
    ],
)
def test_a_server_that_talks_nonsense(says: bytes) -> None:
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Babbler) as server:
        server.says = says  # type: ignore[attr-defined]  # for the handler above
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        cache = CacheManager(quick(f"redis://127.0.0.1:{server.server_address[1]}", timeout_s=0.05))
        try:
            for number in range(5):
                assert cache.get_or_compute(f"q{number}", lambda: number, 10) == number  # noqa: B023
            cache.invalidate_pattern("*")
            assert cache.get("q0") is MISS
            assert cache.get_or_compute("q0", lambda: "new", 10) == "new"
        finally:
            cache.close()
            server.shutdown()
            thread.join()


def test_a_clear_that_redis_missed_is_made_up_for(own_redis: RedisServer) -> None:
    cache = CacheManager(quick(own_redis.url, retry_s=0.2, local_ttl_s=0.01))
    cache.set("query:1", "old", 100)
    cache.set("other", "kept", 100)
    own_redis.freeze()
    cache.invalidate_pattern("query:*")
    own_redis.thaw()
    assert cache.get("query:1") is MISS
    until_up(cache)
    assert cache.get("query:1") is MISS
    assert cache.get("other") == "kept"
    cache.close()


def test_too_many_missed_clears_become_one_of_everything(own_redis: RedisServer) -> None:
    cache = CacheManager(quick(own_redis.url, retry_s=0.3, local_ttl_s=0.01))
    cache.set("other", "old", 100)
    own_redis.freeze()
    for number in range(150):
        cache.invalidate(kind="features", stocks=[f"{500_000 + number}"])
    own_redis.thaw()
    until_up(cache)
    assert cache.get("other") is MISS
    cache.close()


async def answers(cache: AsyncCacheManager, count: int) -> float:
    """Ask for `count` keys, ten at a time, all right; the longest that one took, in seconds."""

    async def ask(number: int) -> float:
        async def compute() -> object:
            return number

        began = time.monotonic()
        assert await cache.get_or_compute(f"query:{number}", compute, 100) == number
        return time.monotonic() - began

    longest = 0.0
    for first in range(0, count, 10):
        spent = await asyncio.gather(*(ask(number) for number in range(first, first + 10)))
        longest = max(longest, *spent)
    return longest


@pytest.mark.parametrize("spoilt", ["killed", "frozen", "late", "restarted"])
async def test_under_load(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture, spoilt: str
) -> None:
    with slow_proxy(own_redis.port) as proxy:
        cache = AsyncCacheManager(
            quick(proxy.url, retry_s=0.2, local_entries=1), clock=time.monotonic
        )
        await answers(cache, 20)
        if spoilt == "killed":
            own_redis.kill()
        elif spoilt == "frozen":
            own_redis.freeze()
        elif spoilt == "late":
            proxy.delay_s = 2.0
        else:
            own_redis.kill()
            own_redis.start()
        assert await answers(cache, 200) < 4.0  # three time-outs, and a machine that is busy
        assert len(warnings_of(caplog)) <= (2 if spoilt == "restarted" else 1)
        if spoilt == "killed":
            own_redis.start()
        elif spoilt == "frozen":
            own_redis.thaw()
        proxy.delay_s = 0.0
        before, end = cache.stats.remote_hits, time.monotonic() + 10
        while cache.stats.remote_hits == before:  # until it is used again
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
            await answers(cache, 20)
        await cache.close()


async def test_replies_stay_with_their_questions_when_callers_leave(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    with slow_proxy(shared_redis.port) as proxy:
        cache = AsyncCacheManager(quick(proxy.url, local_entries=1))
        for number in range(20):
            await cache.set(f"query:{number}", number, 100)
        proxy.delay_s = 0.003
        for _ in range(5):
            asked = [asyncio.create_task(cache.get(f"query:{number}")) for number in range(20)]
            await asyncio.sleep(0.002)
            for task in asked[::2]:
                task.cancel()
            found = await asyncio.gather(*asked, return_exceptions=True)
            assert all(value in (number, MISS) for number, value in enumerate(found) if number % 2)
        proxy.delay_s = 0.0
        assert [await cache.get(f"query:{number}") for number in range(20)] == list(range(20))
        await cache.close()


async def test_an_asynchronous_cache_and_a_server_that_talks_nonsense() -> None:
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Babbler) as server:
        server.says = b"*2\r\n$3\r\nfoo\r\n:1\r\n"  # type: ignore[attr-defined]  # for the handler
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        cache = AsyncCacheManager(
            quick(f"redis://127.0.0.1:{server.server_address[1]}", timeout_s=0.05)
        )
        await answers(cache, 20)
        assert await cache.get("query:3") == 3
        await cache.invalidate_pattern("*")
        assert await cache.get("query:3") is MISS
        await cache.close()
        server.shutdown()
        thread.join()


def test_the_thread_ends_with_the_cache(shared_redis: RedisServer) -> None:
    cache = CacheManager(quick(shared_redis.url))
    cache.set("k", 1, 100)
    names = [thread.name for thread in threading.enumerate()]
    assert THREAD_NAME in names
    cache.close()
    assert THREAD_NAME not in [thread.name for thread in threading.enumerate()]
    cache.set("k", 2, 100)
    assert cache.get("k") == 2  # in the process


def test_the_shipped_configuration_keeps_nothing_and_refuses_what_stalls(
    shared_redis: RedisServer, raw: "redis.Redis"
) -> None:
    assert raw.config_get("save") == {"save": ""}
    assert raw.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lfu"}
    for command in ("KEYS *", "FLUSHDB", "FLUSHALL"):
        with pytest.raises(redis.ResponseError, match="unknown command"):
            raw.execute_command(*command.split())  # type: ignore[no-untyped-call]


def test_a_full_redis(own_redis: RedisServer) -> None:
    cache = CacheManager(quick(own_redis.url, local_entries=1))
    with redis.Redis.from_url(own_redis.url, socket_timeout=5) as client:
        client.config_set("maxmemory", "3mb")
    block = b"x" * 100_000
    for number in range(60):
        assert cache.get_or_compute(f"query:{number}", lambda: block, 100) == block
    assert cache.core.availability.is_up
    cache.invalidate(kind="queries")
    assert cache.get("query:59") is MISS
    cache.close()


async def test_a_busy_event_loop_is_not_held_against_redis(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time-outs end before its replies are read, though these lie there."""
    cache = AsyncCacheManager(quick(own_redis.url, timeout_s=0.05, local_entries=1))
    await answers(cache, 20)
    held_against: list[BaseException] = []
    with monkeypatch.context() as patched:
        patched.setattr(cache.core.availability, "failed", held_against.append)
        for steps in range(20):
            asked = [asyncio.create_task(cache.get(f"query:{number}")) for number in range(3)]
            for _ in range(steps):  # somewhere between asking and reading
                await asyncio.sleep(0)
            time.sleep(0.1)
            await asyncio.gather(*asked)
    assert not held_against
    own_redis.freeze()
    end = time.monotonic() + 5
    while cache.core.availability.is_up:  # the thread notices, whatever the loop does
        assert time.monotonic() < end
        await cache.get("query:1")
    own_redis.thaw()
    await cache.close()
