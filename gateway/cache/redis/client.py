"""Connections to Redis, which may be gone, slow or wrong at any time."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gateway.cache.plan import Plan
from preprocess.errors import SettingsError

# The last ones: what redis-py makes of bytes that are no protocol of Redis.
FAILURES = (redis.RedisError, OSError, ValueError, TypeError, IndexError, AttributeError)


def connect(plan: Plan, connections: int) -> redis.Redis:
    """A client with a pool of its own. Nothing is sent yet.

    Raises:
        SettingsError: the address is malformed.
    """
    try:
        pool = redis.BlockingConnectionPool.from_url(
            plan.redis_url,
            max_connections=connections,
            timeout=plan.timeout_s,
            **connection_options(plan, Retry(NoBackoff(), 0)),
        )
    except ValueError as error:
        raise SettingsError(f"TEZI_REDIS_URL is no address of a Redis: {error}") from None
    return redis.Redis(connection_pool=pool)


def connection_options(plan: Plan, retry: object) -> dict[str, object]:
    """What every connection has in common."""
    return {
        "socket_connect_timeout": plan.timeout_s,
        "socket_timeout": plan.timeout_s,
        "retry": retry,
        "protocol": 2,
        "driver_info": None,  # a connection's greeting is none of a cache's 50 ms
    }
