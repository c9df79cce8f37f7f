"""What is measured of the cache inside the processes that use it.

A feature row or a prediction is computed, found in a tier, or looked up, missed, computed and
written: the four roads.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Literal

from gateway.cache.async_cache_manager import AsyncCacheManager
from gateway.cache.cache_manager import CacheManager
from gateway.cache.cached_predictor import CachedPredictor
from gateway.cache.features.cached_rows import CachedRows
from gateway.cache.plan import Plan
from gateway.catalog.versions import ModelCatalog
from gateway.ports import InferenceResult, PredictionQuery, PredictionSource
from gateway.triton.predictor import TritonPredictor
from preprocess.features.row import Status
from preprocess.repository.stable import stable_version
from preprocess.serving.service import FeatureService
from preprocess.settings import Settings
from preprocess.store import open_store
from tests.performance.measure import Repetition, Times, timed_each
from tests.performance.pairs import Chunks, Pair

Road = Literal["computed", "local", "redis", "miss"]
ROADS: Mapping[Road, str] = {
    "computed": "computed, no cache",
    "local": "hit in the process",
    "redis": "hit in Redis",
    "miss": "missed in both, computed, written",
}

_TTL_S = 300.0
# A Redis that was given up would be measured as none.
_PATIENT_S = 2.0
_MANY = 100_000
_WARMING = 50
_TIMEOUT_S = 10.0


def _plan(redis_url: str, road: Road) -> Plan:
    """Redis answers where the process keeps a single entry."""
    entries = 1 if road == "redis" else _MANY
    return Plan(
        redis_url="" if road == "local" else redis_url, local_entries=entries, timeout_s=_PATIENT_S
    )


def feature_rows(settings: Settings, road: Road, redis_url: str, chunks: Chunks) -> Repetition:
    """Fresh pairs each repetition, one a call, the last of `chunks` to get warm with.

    Raises:
        AssertionError: a row is not OK, or came by another road.
    """

    def service(cache: CacheManager | None) -> FeatureService:
        cached = CachedRows(cache, ttl_s=_TTL_S) if cache is not None else None
        made = FeatureService(lambda: open_store(settings), cached=cached)
        made.warm_up()
        return made

    cache = CacheManager(_plan(redis_url, road)) if road != "computed" else None
    mine = service(cache)
    other = service(CacheManager(_plan(redis_url, "miss"))) if road == "redis" else mine
    calls = [[([code.encode()], [day.encode()]) for code, day in chunk] for chunk in chunks]

    def call(pair: tuple[list[bytes], list[bytes]]) -> None:
        status = mine.rows(*pair).status[0]
        if status != b"OK":
            raise AssertionError(f"{pair}: {status}")

    def cached_rows() -> int:
        return cache.stats.local_hits + cache.stats.remote_hits if cache is not None else 0

    def repetition(number: int) -> Times:
        hits = road in ("local", "redis")
        if hits:
            for pair in calls[number]:
                other.rows(*pair)
        timed_each(call, calls[-1][:_WARMING])
        before = cached_rows()
        times = timed_each(call, calls[number])
        if cached_rows() - before != (len(calls[number]) if hits else 0):
            raise AssertionError(f"{road}: {cached_rows() - before} rows came out of the cache")
        return times

    return repetition


async def prediction_times(
    settings: Settings, redis_url: str, pairs: Mapping[Road, Sequence[Pair]]
) -> dict[Road, list[float]]:
    """Times in ms of predictions inside a gateway, the roads in turns, each with pairs of its own.

    Triton runs with these settings; the Redis is empty.

    Raises:
        AssertionError: a prediction failed, or came by another road.
    """
    triton = TritonPredictor.from_settings(settings)
    versions = ModelCatalog(settings.versions_dir)
    await versions.refresh()
    number = stable_version(settings.versions_dir).model_version
    caches = {
        road: AsyncCacheManager(_plan(redis_url, road)) for road in pairs if road != "computed"
    }
    filling = AsyncCacheManager(_plan(redis_url, "miss"))

    def through(cache: AsyncCacheManager) -> PredictionSource:
        return CachedPredictor(
            triton,
            cache,
            versions,
            ttl_s=_TTL_S,
            timeout_s=_TIMEOUT_S,
            usable=lambda: True,
            is_queued=lambda _task: False,
        )

    sources: dict[Road, PredictionSource] = {road: through(cache) for road, cache in caches.items()}
    sources["computed"] = triton
    asks = {
        road: [PredictionQuery(code, day, "fp32", number) for code, day in mine]
        for road, mine in pairs.items()
    }
    found: dict[Road, list[float]] = {road: [] for road in pairs}
    try:
        for ask in asks["local"]:
            await sources["local"].predict([ask], _TIMEOUT_S)
        for ask in asks["redis"]:
            await through(filling).predict([ask], _TIMEOUT_S)
        for group in zip(*asks.values(), strict=True):
            for road, ask in zip(asks, group, strict=True):
                began = time.perf_counter()
                (answer,) = await sources[road].predict([ask], _TIMEOUT_S)
                found[road].append((time.perf_counter() - began) * 1e3)
                if not isinstance(answer, InferenceResult) or answer.status is not Status.OK:
                    raise AssertionError(f"no prediction: {answer}")
                if answer.cached is not (road in ("local", "redis")):
                    raise AssertionError(f"came by another road than {road}: {answer}")
    finally:
        for cache in (*caches.values(), filling):
            await cache.close()
        await triton.close()
    return found
