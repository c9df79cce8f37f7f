"""Counts since the beginning and lately, and who is told of them."""

import pytest

from gateway.cache.cache_manager import CacheManager
from gateway.cache.keys import Kind
from gateway.cache.statistics import CacheStats, Result, Statistics, Tier
from tests.gateway.cache.conftest import quick
from tests.redis import RedisServer


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_counts_by_kind_and_over_the_last_minutes() -> None:
    clock = Clock()
    counts = Statistics(clock=clock)
    counts.record("features", "local", "miss", 4)
    counts.record("features", "redis", "hit")
    counts.record("features", "redis", "miss", 3)
    clock.now += 200
    counts.record("features", "local", "hit", 4)
    counts.record("queries", "local", "hit")
    counts.record("queries", "redis", "hit", 0)
    assert counts.of("features") == CacheStats(4, 1, 3)
    assert counts.of("features").hit_rate == 5 / 8
    assert counts.of("features", recent=True) == CacheStats(4, 1, 3)
    clock.now += 150
    assert counts.of("features", recent=True) == CacheStats(4, 0, 0)
    assert counts.of(recent=True).asked == 5
    clock.now += 1000
    counts.record("others", "local", "miss")
    assert counts.of(recent=True) == CacheStats(0, 0, 1)
    assert counts.of("features", recent=True).hit_rate == 0.0
    assert counts.of() == CacheStats(5, 1, 4)


def test_hooks_hear_of_each_question(shared_redis: RedisServer) -> None:
    heard: list[tuple[Kind, Tier, Result, int]] = []
    cache = CacheManager(quick(shared_redis.url))
    cache.core.statistics.subscribe(lambda *said: heard.append(said))
    cache.set("query:1", 1, 100)
    cache.get_many(["query:1", "features:500001:d:h"])
    assert heard == [
        ("queries", "local", "hit", 1),
        ("features", "local", "miss", 1),
        ("features", "redis", "miss", 1),
    ]
    assert cache.get_hit_rate("queries", recent=True) == 1.0
    assert cache.get_hit_rate() == pytest.approx(0.5)
    cache.close()
