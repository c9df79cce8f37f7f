"""The tier in Redis, which all processes share and which may be gone, slow or wrong at any time."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from preprocess.cache.local import Clock
from preprocess.errors import SettingsError

# Every key of Tezi in Redis begins with this; the number is that of the envelope's form.
PREFIX = "tezi:1:"

TIMEOUT_S = 0.05
RETRY_S = 30.0
CONNECTIONS = 32
SWEEP_S = 10.0
_SCANNED = 1_000
_REMEMBERED = 100

log = logging.getLogger("tezi.cache")

_Given = TypeVar("_Given")
_Client = redis.Redis


class RemoteTier:
    """Envelopes in Redis. No method raises: a Redis that does not answer holds nothing.

    Safe to share between threads. After a failure Redis is left alone for `retry_s`; it is then
    tried by the next caller, after the clears that it missed.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        retry_s: float = RETRY_S,
        clock: Clock = time.monotonic,
    ) -> None:
        """Talk to the Redis at `url` (redis://, rediss:// or unix://). Nothing is sent yet.

        Raises:
            SettingsError: the address is malformed.
        """
        try:
            pool = redis.BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                socket_timeout=timeout_s,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                driver_info=None,  # a connection's greeting is none of a cache's 50 ms
            )
        except ValueError as error:
            raise SettingsError(f"TEZI_REDIS_URL is no address of a Redis: {error}") from None
        self._client: _Client = _Client(connection_pool=pool)
        self._retry_s = retry_s
        self._clock = clock
        self._lock = threading.Lock()
        self._down_until: float | None = None
        # Patterns that could not be cleared; one too many, and everything is cleared instead.
        self._missed: deque[str] = deque(maxlen=_REMEMBERED)

    @property
    def is_down(self) -> bool:
        """Whether Redis failed when it was asked last."""
        return self._down_until is not None

    def get(self, key: str) -> tuple[bytes, float] | None:
        """The envelope and how many seconds it has left."""

        def ask(client: _Client) -> object:
            pipe = client.pipeline(transaction=False)
            pipe.get(PREFIX + key)
            pipe.pttl(PREFIX + key)
            return [_unless_refused(part) for part in pipe.execute(raise_on_error=False)]

        answer = self._ask(ask)
        if not isinstance(answer, list) or len(answer) != 2:
            return None
        envelope, left_ms = answer
        # -1: a value without an end is none of ours; -2: it ended between the two questions.
        if not isinstance(envelope, bytes) or not isinstance(left_ms, int) or left_ms <= 0:
            return None
        return envelope, left_ms / 1000.0

    def put(self, key: str, envelope: bytes, seconds: float) -> bool:
        """Hold an envelope for `seconds`; whether Redis took it."""
        span = max(1, int(seconds * 1000))
        return self._ask(lambda client: client.set(PREFIX + key, envelope, px=span)) is True

    def drop(self, key: str) -> None:
        """Forget one key."""
        self._ask(lambda client: client.unlink(PREFIX + key))

    def clear(self, pattern: str) -> int | None:
        """Forget the keys that match; how many, or None if Redis has to be told later."""
        dropped = self._ask(lambda client: self._sweep(client, pattern))
        if isinstance(dropped, int):
            return dropped
        with self._lock:
            if pattern not in self._missed:
                if len(self._missed) == _REMEMBERED:
                    self._missed.clear()
                    pattern = "*"
                self._missed.append(pattern)
        return None

    def close(self) -> None:
        """Let go of the connections."""
        with suppress(redis.RedisError, OSError):
            self._client.close()
            self._client.connection_pool.disconnect()

    def _sweep(self, client: _Client, pattern: str) -> int:
        """SCAN and not KEYS: Redis goes on answering others between two steps."""
        end = self._clock() + SWEEP_S
        cursor, dropped = 0, 0
        while True:
            answer = client.scan(cursor, match=PREFIX + pattern, count=_SCANNED)
            cursor, keys = answer
            if keys:
                dropped += int(client.unlink(*keys))
            if not cursor:
                return dropped
            if self._clock() > end:
                raise redis.TimeoutError(f"clearing {pattern!r} took more than {SWEEP_S:g} s")

    def _ask(self, question: Callable[[_Client], _Given]) -> _Given | None:
        if not self._may_ask():
            return None
        try:
            if self.is_down:
                self._catch_up()
            answer = question(self._client)
        # ValueError and the like: what redis-py makes of bytes that are no protocol of Redis.
        except (redis.RedisError, OSError, ValueError, TypeError, IndexError) as error:
            self._failed(error)
            return None
        self._worked()
        return answer

    def _may_ask(self) -> bool:
        """Whether Redis is up, or is due to be tried: by one caller, while others go on without."""
        with self._lock:
            if self._down_until is None:
                return True
            if self._clock() < self._down_until:
                return False
            self._down_until = self._clock() + self._retry_s
            return True

    def _catch_up(self) -> None:
        while True:
            with self._lock:
                if not self._missed:
                    return
                pattern = self._missed[0]
            self._sweep(self._client, pattern)
            with self._lock, suppress(ValueError):
                self._missed.remove(pattern)

    def _failed(self, error: Exception) -> None:
        with self._lock:
            was_up = self._down_until is None
            self._down_until = self._clock() + self._retry_s
        with suppress(redis.RedisError, OSError):
            self._client.connection_pool.disconnect()  # a reply that comes late is nobody's
        if was_up:
            log.warning(
                "Redis does not answer (%s): caching in this process only, next try in %g s",
                error,
                self._retry_s,
            )

    def _worked(self) -> None:
        with self._lock:
            was_down = self._down_until is not None
            self._down_until = None
        if was_down:
            log.warning("Redis answers again: caching in Redis too")


def _unless_refused(part: object) -> object:
    """One answer of several; a key that holds something else than a text holds nothing of ours."""
    if isinstance(part, redis.ResponseError):
        if str(part).startswith("WRONGTYPE"):
            return None
        raise part
    return part
