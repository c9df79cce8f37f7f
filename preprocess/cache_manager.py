"""The cache of computed values: a small tier in the process in front of Redis, if there is one."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from preprocess.cache.codec import decode, encode
from preprocess.cache.flight import SingleFlight
from preprocess.cache.local import Clock, LocalTier
from preprocess.cache.pattern import glob
from preprocess.cache.remote import RemoteTier
from preprocess.errors import CacheError
from preprocess.settings import Settings

LOCAL_ENTRIES = 1_000
LOCAL_TTL_S = 60.0
JITTER = 0.1
WAIT_S = 30.0
# A value above this is computed each time: it would push everything else out.
LARGEST_VALUE = 4 * 1024 * 1024

# What `get` gives for a key that is not held: None, False and 0 are values like any other.
MISS = object()


@dataclass(slots=True)
class CacheStats:
    """How often was asked, and what answered."""

    local_hits: int = 0
    remote_hits: int = 0
    misses: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of the questions that a tier answered; 0 before the first."""
        hits = self.local_hits + self.remote_hits
        return hits / (hits + self.misses) if hits + self.misses else 0.0


class CacheManager:
    """Values by key, for a time. Safe to share between threads.

    Values are what `preprocess.cache.codec` can encode, and come back as copies. Times to live are
    shortened by up to a tenth, so that what was computed together does not end together; a value
    never lives longer in the process than in Redis. Without Redis, or while it does not answer,
    the tier in the process serves alone.
    """

    def __init__(
        self,
        remote: RemoteTier | None = None,
        *,
        local_entries: int = LOCAL_ENTRIES,
        local_ttl_s: float = LOCAL_TTL_S,
        wait_s: float = WAIT_S,
        clock: Clock = time.monotonic,
    ) -> None:
        """`wait_s`: how long a caller waits for another's computation of the same key."""
        self._remote = remote
        self._local = LocalTier(local_entries, clock=clock)
        self._local_ttl_s = local_ttl_s
        self._flights = SingleFlight(wait_s=wait_s)
        self._clock = clock
        self._lock = threading.Lock()
        self._stats = CacheStats()
        self._clears = 0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The cache that the settings name; an empty TEZI_REDIS_URL means no Redis."""
        return cls(RemoteTier(settings.redis_url) if settings.redis_url else None)

    def get(self, key: str) -> object:
        """The value, or MISS."""
        envelope = self._local.get(key)
        if envelope is not None:
            self._count("local_hits")
            return decode(key, envelope)
        found = self._from_remote(key)
        self._count("misses" if found is MISS else "remote_hits")
        return found

    def set(self, key: str, value: object, ttl: float) -> None:
        """Hold a value for at most `ttl` seconds; one that is too large is not held.

        Raises:
            CacheError: the value is of a type that the cache does not keep.
        """
        with self._lock:
            clears = self._clears
        self._set(key, value, ttl, clears)

    def get_or_compute(self, key: str, compute: Callable[[], object], ttl: float) -> object:
        """The value, computed by one caller at a time if it is not held.

        Callers that ask meanwhile get the same answer, or the same error. What was begun before a
        clear is not kept after it.

        Raises:
            CacheError: the value is of a type that the cache does not keep.
        """
        found = self.get(key)
        if found is not MISS:
            return found
        return decode(key, self._computed(key, compute, ttl))

    def invalidate_pattern(self, pattern: str) -> int:
        """Forget every key that matches a glob pattern, in both tiers; how many there were.

        While Redis does not answer, it is told when it does again, before it is asked anything.
        """
        with self._lock:
            self._clears += 1
        self._flights.forget()
        dropped = len(self._local.drop(lambda key: glob(pattern).fullmatch(key) is not None))
        if self._remote is None:
            return dropped
        shared = self._remote.clear(pattern)
        # A value that was fetched from Redis meanwhile is older than the clear.
        self._local.drop(lambda key: glob(pattern).fullmatch(key) is not None)
        return dropped if shared is None else max(shared, dropped)

    @property
    def stats(self) -> CacheStats:
        """The counts so far."""
        with self._lock:
            counts = self._stats
            return CacheStats(counts.local_hits, counts.remote_hits, counts.misses)

    def get_hit_rate(self) -> float:
        """Share of all questions so far that the cache answered, 0 to 1."""
        return self.stats.hit_rate

    def close(self) -> None:
        """Let go of Redis; the cache goes on in the process."""
        if self._remote is not None:
            self._remote.close()

    def _computed(self, key: str, compute: Callable[[], object], ttl: float) -> bytes:
        def fly() -> bytes:
            with self._lock:
                clears = self._clears
            # Another caller's computation may have ended between this one's look and now.
            held = self._local.get(key)
            return self._set(key, compute(), ttl, clears) if held is None else held

        envelope = self._flights.run(key, fly)
        assert isinstance(envelope, bytes)  # noqa: S101 - what `fly` returns
        return envelope

    def _set(self, key: str, value: object, ttl: float, clears: int) -> bytes:
        envelope = encode(key, value)
        if len(envelope) > LARGEST_VALUE or ttl <= 0:
            return envelope
        # Read before Redis is told: the local time must not begin later than Redis's.
        now = self._clock()
        shared = ttl * _jitter()
        if self._cleared_since(clears):
            return envelope
        if self._remote is not None:
            self._remote.put(key, envelope, shared)
        self._local.put(key, envelope, now + min(shared, self._local_ttl_s * _jitter()))
        if self._cleared_since(clears):
            self._local.drop(lambda held: held == key)
            if self._remote is not None:
                self._remote.drop(key)
        return envelope

    def _from_remote(self, key: str) -> object:
        if self._remote is None:
            return MISS
        with self._lock:
            clears = self._clears
        now = self._clock()
        found = self._remote.get(key)
        if found is None:
            return MISS
        envelope, left = found
        try:
            value = decode(key, envelope)
        except CacheError:
            self._remote.drop(key)
            return MISS
        if self._cleared_since(clears):
            return MISS
        self._local.put(key, envelope, now + min(left, self._local_ttl_s * _jitter()))
        return value

    def _cleared_since(self, clears: int) -> bool:
        with self._lock:
            return self._clears != clears

    def _count(self, result: str) -> None:
        with self._lock:
            setattr(self._stats, result, getattr(self._stats, result) + 1)


def _jitter() -> float:
    return 1.0 - JITTER * random.random()  # noqa: S311 - spreads load, guards nothing
