"""Hits and misses by kind and tier, since the start and over the last minutes."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gateway.cache.keys import KINDS, Kind
from gateway.cache.local import Clock

Tier = Literal["local", "redis"]
Result = Literal["hit", "miss"]
# Called for each lookup in a tier: kind, tier, result, number of keys.
Hook = Callable[[Kind, Tier, Result, int], None]

RECENT_S = 300.0
_BUCKET_S = 10.0

_Name = tuple[Kind, Tier, Result]


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Numbers of keys looked up. A key in neither tier is a miss, even if it is in flight."""

    local_hits: int = 0
    remote_hits: int = 0
    misses: int = 0

    @property
    def asked(self) -> int:
        """All keys."""
        return self.local_hits + self.remote_hits + self.misses

    @property
    def hit_rate(self) -> float:
        """Share of the keys that were hits, 0 to 1; 0 before the first lookup."""
        return (self.local_hits + self.remote_hits) / self.asked if self.asked else 0.0


class Statistics:
    """Counts by kind, tier and result. Thread-safe."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._all: Counter[_Name] = Counter()
        self._buckets: dict[int, Counter[_Name]] = {}
        self._hooks: tuple[Hook, ...] = ()

    def subscribe(self, hook: Hook) -> None:
        """Call `hook` for each lookup from now on, in the calling thread."""
        self._hooks = (*self._hooks, hook)

    def record(self, kind: Kind, tier: Tier, result: Result, count: int = 1) -> None:
        """`count` keys were looked up in a tier."""
        if not count:
            return
        name = (kind, tier, result)
        slot = int(self._clock() // _BUCKET_S)
        with self._lock:
            self._all[name] += count
            bucket = self._buckets.get(slot)
            if bucket is None:
                oldest = slot - int(RECENT_S // _BUCKET_S)
                self._buckets = {at: bucket for at, bucket in self._buckets.items() if at > oldest}
                bucket = self._buckets[slot] = Counter()
            bucket[name] += count
        for hook in self._hooks:
            hook(kind, tier, result, count)

    def of(self, kind: Kind | None = None, *, recent: bool = False) -> CacheStats:
        """The counts of a kind, or of all; `recent`: of the last five minutes only."""
        oldest = int(self._clock() // _BUCKET_S) - int(RECENT_S // _BUCKET_S)
        with self._lock:
            counts = (
                sum((bucket for at, bucket in self._buckets.items() if at > oldest), Counter())
                if recent
                else Counter(self._all)
            )
        kinds = KINDS if kind is None else (kind,)
        local = sum(counts[(each, "local", "hit")] for each in kinds)
        missed = sum(counts[(each, "local", "miss")] for each in kinds)
        remote = sum(counts[(each, "redis", "hit")] for each in kinds)
        return CacheStats(local, remote, missed - remote)
