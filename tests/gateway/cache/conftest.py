"""A Redis for the tests of the cache; each test begins with an empty one that is up."""

from collections.abc import Iterator

import pytest
import redis

from gateway.cache.plan import Plan
from tests.redis import RedisServer, running_redis


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def raw(shared_redis: RedisServer) -> Iterator["redis.Redis"]:
    """A plain client, to see and spoil what lies in Redis."""
    client = redis.Redis.from_url(shared_redis.url, socket_timeout=5)
    for key in client.scan_iter(count=10_000):
        client.unlink(key)
    yield client
    client.close()


def quick(redis_url: str = "", **changed: object) -> Plan:
    """A plan whose leases are short, and whose Redis may be as slow as a busy machine makes it."""
    sure = {"lease_s": 0.3, "renew_s": 0.1, "timeout_s": 0.3}
    return Plan(redis_url=redis_url, **(sure | changed))  # type: ignore[arg-type]  # a plan's own
