"""Ways of coming by feature rows: ready, computed, out of a tier, or asked for in vain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from preprocess.cache.plan import Plan
from preprocess.cache_manager import CacheManager
from preprocess.features.cached import CachedRows
from preprocess.features.service import FeatureService
from preprocess.settings import Settings
from preprocess.store import open_store
from tests.performance.feature_ways import Pair
from tests.performance.measure import Repetition, Times, timed_each

Road = Literal["ready", "computed", "local", "redis", "local_miss", "redis_miss"]

ROADS: tuple[Road, ...] = ("ready", "computed", "local", "redis", "local_miss", "redis_miss")

_TTL_S = 300.0
# A Redis that was given up would be measured as none.
_PATIENT_S = 2.0
_WARMING = 50


@dataclass(frozen=True)
class RowWay:
    """One road to rows of a market, so many rows a call; `redis_url` is that of an empty Redis."""

    settings: Settings
    road: Road
    rows: int
    redis_url: str = ""

    def service(self, cached: CachedRows | None) -> FeatureService:
        """A features model's service, warm."""
        service = FeatureService(lambda: open_store(self.settings), cached=cached)
        service.warm_up()
        return service

    def cache(self, *, local_entries: int = 100_000) -> CacheManager:
        """A cache of a process of its own."""
        shared = self.redis_url if self.road.startswith("redis") else ""
        return CacheManager(
            Plan(redis_url=shared, local_entries=local_entries, timeout_s=_PATIENT_S)
        )


def feature_rows(way: RowWay, chunks: Sequence[Sequence[Pair]]) -> Repetition:
    """Fresh pairs each repetition, the last of `chunks` to get warm with; a road that is to find
    its rows has them put there before.

    Raises:
        AssertionError: a row is not OK, or came by another road.
    """
    cached = cache = None
    if way.road not in ("ready", "computed"):
        # Of the process's own memory one row is left, so that Redis answers.
        cache = way.cache(local_entries=1 if way.road == "redis" else 100_000)
        cached = CachedRows(cache, ttl_s=_TTL_S)
    service = way.service(cached)
    other = way.service(CachedRows(way.cache(), ttl_s=_TTL_S)) if way.road == "redis" else service
    calls = [
        [
            ([code.encode() for code, _ in part], [day.encode() for _, day in part])
            for part in (
                chunk[start : start + way.rows] for start in range(0, len(chunk), way.rows)
            )
        ]
        for chunk in chunks
    ]

    def call(pairs: tuple[list[bytes], list[bytes]]) -> None:
        answer = service.rows(*pairs)
        if set(answer.status.tolist()) != {b"OK"}:
            raise AssertionError(f"{pairs}: {answer.status}")

    def repetition(number: int) -> Times:
        if way.road in ("local", "redis"):
            for pairs in calls[number]:
                other.rows(*pairs)
        timed_each(call, calls[-1][:_WARMING])
        before = _held(cache)
        times = timed_each(call, calls[number])
        asked = sum(len(codes) for codes, _ in calls[number])
        found = _held(cache) - before
        if found != (asked if way.road in ("local", "redis") else 0):
            raise AssertionError(f"{way.road}: {found} of {asked} rows out of the cache")
        return times

    return repetition


def _held(cache: CacheManager | None) -> int:
    return 0 if cache is None else cache.stats.local_hits + cache.stats.remote_hits
