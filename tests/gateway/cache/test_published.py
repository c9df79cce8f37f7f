"""Counts on their way to another metrics address."""

from collections.abc import Mapping

from gateway.cache.features.counts import PublishedCounts
from gateway.cache.statistics import Statistics


class FakeSeries:
    def __init__(self, told: list[tuple[str, float]], labels: Mapping[str, str]) -> None:
        self._told, self._name = told, " ".join(labels.values())

    def increment(self, value: float) -> None:
        self._told.append((self._name, value))

    def set(self, value: float) -> None:
        self._told.append((self._name, value))


def test_counts_are_gathered_and_told_once_a_second() -> None:
    now = [100.0]
    told: list[tuple[str, float]] = []
    made: list[Mapping[str, str]] = []

    def series(labels: Mapping[str, str]) -> FakeSeries:
        made.append(labels)
        return FakeSeries(told, labels)

    statistics = Statistics(clock=lambda: now[0])
    rates: list[tuple[str, float]] = []
    rate = FakeSeries(rates, {"cache": "features"})
    published = PublishedCounts(statistics, series, lambda: rate, clock=lambda: now[0])
    for _ in range(3):
        statistics.record("features", "local", "hit", 2)
        published.publish()
    statistics.record("features", "redis", "miss")
    assert told == []
    now[0] += 1.0
    published.publish()
    published.publish()
    assert told == [("features local hit", 6), ("features redis miss", 1)]
    now[0] += 5.0
    published.publish()
    assert len(told) == 2, "nothing new was told"
    assert rates == [("features", 100.0)]
    statistics.record("features", "local", "hit")
    published.publish()
    assert told[2:] == [("features local hit", 1)]
    assert made == [
        {"cache": "features", "tier": "local", "result": "hit"},
        {"cache": "features", "tier": "redis", "result": "miss"},
    ]
