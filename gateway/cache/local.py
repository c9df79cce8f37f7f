"""The local tier: values in the memory of one process, least recently used first to go."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from cachetools import TLRUCache

from gateway.cache.invalidation import Invalidation
from gateway.cache.keys import scope_of

Clock = Callable[[], float]

# The approximate size in bytes of an entry without its value.
_OVERHEAD = 300

_Entry = tuple[bytes, float]


class LocalTier:
    """Values as bytes by key, each with an expiry, bounded in number and size. Thread-safe.

    The generation counts the invalidations. A value whose computation began in an earlier
    generation is not kept.
    """

    def __init__(self, entries: int, size: int, *, clock: Clock = time.monotonic) -> None:
        """Keep at most `entries` values of `size` bytes together; expiries are by `clock`."""
        self._lock = threading.Lock()
        self._max_entries = entries
        self._clock = clock
        self._generation = 0
        self._entries: TLRUCache[str, _Entry] = TLRUCache(
            size,
            ttu=lambda _key, entry, _now: entry[1],
            timer=clock,
            getsizeof=lambda entry: len(entry[0]) + _OVERHEAD,
        )

    def look(self, keys: Sequence[str]) -> tuple[dict[str, bytes], int]:
        """The cached values of `keys`, and the current generation."""
        bodies: dict[str, bytes] = {}
        with self._lock:
            for key in keys:
                entry = self._entries.get(key)
                if entry is not None:
                    bodies[key] = entry[0]
            return bodies, self._generation

    def keep(self, key: str, body: bytes, until: float, generation: int) -> bool:
        """Keep a value until `until`; False if it belongs to an earlier generation."""
        with self._lock:
            if generation != self._generation:
                return False
            self._entries.pop(key, None)
            if until > self._clock() and len(body) + _OVERHEAD <= self._entries.maxsize:
                with suppress(KeyError):  # the last ones have expired meanwhile
                    while len(self._entries) >= self._max_entries:
                        self._entries.popitem()
                self._entries[key] = (body, until)
            return True

    def is_current(self, generation: int) -> bool:
        """Whether nothing has been invalidated since `generation`."""
        return generation == self._generation

    def forget(self, invalidation: Invalidation) -> int:
        """Begin a new generation and drop what is invalidated; the number of values dropped."""
        with self._lock:
            self._generation += 1
            keys = list(self._entries)
        if not invalidation.everything:
            # Without the lock: among 20,000 values this takes some 20 ms.
            names = frozenset(invalidation.scopes)
            keys = [key for key in keys if not names.isdisjoint(scope_of(key).names)]
        with self._lock:
            return sum(self._entries.pop(key, None) is not None for key in keys)

    @property
    def size(self) -> tuple[int, int]:
        """The number of values, and their bytes."""
        with self._lock:
            return len(self._entries), int(self._entries.currsize)
