"""The tier in Redis, which all processes share and which may be gone, slow or wrong at any time."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from preprocess.cache.availability import Availability
from preprocess.cache.plan import Plan
from preprocess.cache.reading import FENCES, VALUES, Question, Reading
from preprocess.errors import SettingsError

_CONNECTIONS = 32

# The last ones: what redis-py makes of bytes that are no protocol of Redis.
FAILURES = (redis.RedisError, OSError, ValueError, TypeError, IndexError, AttributeError)

_Given = TypeVar("_Given")
_Client = redis.Redis


def connect(plan: Plan, connections: int) -> _Client:
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
    return _Client(connection_pool=pool)


def connection_options(plan: Plan, retry: object) -> dict[str, object]:
    """What every connection has in common."""
    return {
        "socket_connect_timeout": plan.timeout_s,
        "socket_timeout": plan.timeout_s,
        "retry": retry,
        "protocol": 2,
        "driver_info": None,  # a connection's greeting is none of a cache's 50 ms
    }


class RemoteTier:
    """Envelopes in Redis. No method raises: a Redis that does not answer holds nothing.

    Safe to share between threads.
    """

    def __init__(self, plan: Plan, availability: Availability) -> None:
        """Raises SettingsError if the address is malformed."""
        self._client = connect(plan, _CONNECTIONS)
        self._availability = availability

    def read(self, keys: Sequence[str]) -> Reading | None:
        """The values that are held and current; None if Redis did not say."""
        question = Question(keys)

        def ask(client: _Client) -> Reading:
            pipe = client.pipeline(transaction=False)
            pipe.mget(question.places)
            pipe.hmget(FENCES, question.fields)
            return question.read(pipe.execute(raise_on_error=False))

        return self._ask(ask)

    def write(self, envelopes: Mapping[str, tuple[bytes, int]]) -> bool:
        """Hold envelopes, each for so many ms; whether Redis took them."""

        def tell(client: _Client) -> bool:
            pipe = client.pipeline(transaction=False)
            for key, (envelope, span_ms) in envelopes.items():
                pipe.set(VALUES + key, envelope, px=span_ms)
            return all(answer is True for answer in pipe.execute())

        return self._ask(tell) or False

    def close(self) -> None:
        """Let go of the connections."""
        with suppress(*FAILURES):
            self._client.close()
            self._client.connection_pool.disconnect()

    def _ask(self, question: Callable[[_Client], _Given]) -> _Given | None:
        if not self._availability.may_be_asked:
            return None
        try:
            answer = question(self._client)
        except FAILURES as error:
            if not _is_crowded(error):
                self._availability.failed(error)
                with suppress(*FAILURES):
                    # A reply that comes late is nobody's.
                    self._client.connection_pool.disconnect(inuse_connections=False)
            return None
        self._availability.answered()
        # What Redis said before it was found to lack an invalidation may be too old.
        return answer if self._availability.may_be_asked else None


def _is_crowded(error: BaseException) -> bool:
    """Whether all connections were in use: that says nothing of Redis."""
    return isinstance(error, redis.ConnectionError) and "No connection available" in str(error)
