"""The local tier and the fences before it, under one lock."""

import threading
import time
from collections.abc import Sequence

from gateway.cache.fences import Fences
from gateway.cache.invalidation import Invalidation
from gateway.cache.keys import KINDS, scope_of
from gateway.cache.local import Clock, LocalTier


class Memory:
    """What one process holds. Safe to share between threads."""

    def __init__(self, entries: int, size: int, *, clock: Clock = time.monotonic) -> None:
        """Hold at most `entries` values of `size` bytes together."""
        self._lock = threading.Lock()
        self._local = LocalTier(entries, size, clock=clock)
        self._fences = Fences()

    def look(self, keys: Sequence[str]) -> tuple[dict[str, bytes], int]:
        """The values that are held, and the stamp of this moment."""
        bodies: dict[str, bytes] = {}
        with self._lock:
            for key in keys:
                body = self._local.get(key)
                if body is not None:
                    bodies[key] = body
            return bodies, self._fences.stamp

    def keep(self, key: str, body: bytes, until: float, stamp: int) -> bool:
        """Hold a value whose computation began at `stamp`; False if a fence was raised since."""
        with self._lock:
            if not self._fences.holds(key, stamp):
                return False
            self._local.put(key, body, until, scope_of(key).stock_fence)
            return True

    def holds(self, key: str, stamp: int) -> bool:
        """Whether no fence before `key` was raised since `stamp`."""
        with self._lock:
            return self._fences.holds(key, stamp)

    def forget(self, invalidation: Invalidation) -> int:
        """Raise fences and drop what lies behind them; how many values there were."""
        with self._lock:
            self._fences.raise_for(invalidation)
            if invalidation.everything:
                return self._local.drop(lambda _key: True)
            names = frozenset(invalidation.fences)
            if names.isdisjoint(KINDS):  # stocks, of which there are few
                return self._local.drop_groups(names)
            return self._local.drop(lambda key: not names.isdisjoint(scope_of(key).fences))

    @property
    def size(self) -> tuple[int, int]:
        """Values held, and their bytes."""
        with self._lock:
            return len(self._local), self._local.size
