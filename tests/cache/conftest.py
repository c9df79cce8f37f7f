"""A Redis for the tests of the cache; each test begins with an empty one that is up."""

from collections.abc import Iterator

import pytest
import redis

from tests.redis import RedisServer, running_redis


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def raw(shared_redis: RedisServer) -> Iterator["redis.Redis"]:
    """A plain client, to see and spoil what lies in Redis."""
    client = redis.Redis.from_url(shared_redis.url, socket_timeout=5)
    client.flushall()
    yield client
    client.close()
