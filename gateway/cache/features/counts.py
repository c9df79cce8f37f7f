"""Counts of a cache, collected and published at most once a second."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.cache.keys import Kind
from gateway.cache.local import Clock
from gateway.cache.statistics import Result, Statistics, Tier

METRIC = "cache_requests_total"
RATE_METRIC = "cache_hit_rate_percent"
MEANING = "Keys looked up in a tier of the cache"
_PAUSE_S = 1.0

_Name = tuple[Kind, Tier, Result]


class Series(Protocol):
    """What is needed of a metric with its labels."""

    def increment(self, value: float) -> None: ...

    def set(self, value: float) -> None: ...


class PublishedCounts:
    """Lookups by kind, tier and result, as counters of another server. For one thread."""

    def __init__(
        self,
        statistics: Statistics,
        series: Callable[[Mapping[str, str]], Series],
        rate: Callable[[], Series],
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        """`series` makes a counter for labels, `rate` a gauge of the hit rate of features in %."""
        self._statistics = statistics
        # Keeps the metric family alive with the function: in Triton it must outlive the series.
        self._make_rate = rate
        self._rate = rate()
        self._make = series
        self._clock = clock
        self._series: dict[_Name, Series] = {}
        self._pending: Counter[_Name] = Counter()
        self._published_at = clock()
        statistics.subscribe(self._count)

    def publish(self) -> None:
        """Publish what has been counted, at most once a second."""
        now = self._clock()
        if not self._pending or now - self._published_at < _PAUSE_S:
            return
        self._published_at = now
        for name, count in self._pending.items():
            if name not in self._series:
                kind, tier, result = name
                self._series[name] = self._make({"cache": kind, "tier": tier, "result": result})
            self._series[name].increment(count)
        self._pending.clear()
        self._rate.set(100.0 * self._statistics.of("features", recent=True).hit_rate)

    def _count(self, kind: Kind, tier: Tier, result: Result, count: int) -> None:
        self._pending[kind, tier, result] += count
