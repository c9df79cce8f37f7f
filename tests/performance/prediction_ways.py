"""Ways of coming by predictions inside a gateway: from Triton, out of a tier, or asked in vain."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.cached_predictor import CachedPredictor
from gateway.ports import Answer, Ask, Source
from gateway.triton import TritonPredictor
from gateway.versions import VersionBook
from preprocess.async_cache_manager import AsyncCacheManager
from preprocess.cache.plan import Plan
from preprocess.features.row import Status
from preprocess.repository.stable import stable_version
from preprocess.settings import Settings

Road = Literal["computed", "local", "redis", "redis_miss"]
ROADS: tuple[Road, ...] = ("computed", "local", "redis", "redis_miss")

_TIMEOUT_S = 10.0
_TTL_S = 3600.0
# A Redis that was given up would be measured as none.
_PATIENT_S = 2.0
_MANY = 100_000


@dataclass
class PredictionRoads:
    """Every road to predictions of one running Triton, and an empty Redis for those in vain."""

    settings: Settings
    redis_url: str

    async def measure(
        self, calls: Mapping[Road, Sequence[Sequence[tuple[str, str]]]]
    ) -> dict[Road, list[float]]:
        """Times in ms of each call, the roads in turns; every road has pairs of its own.

        Raises:
            AssertionError: a prediction failed, or came by another road.
        """
        triton = TritonPredictor.from_settings(self.settings)
        versions = VersionBook(self.settings.versions_dir)
        await versions.refresh()
        number = stable_version(self.settings.versions_dir).model_version
        # Of the process's own memory one value is left, so that Redis answers.
        sizes: dict[Road, int] = {"local": _MANY, "redis": 1, "redis_miss": _MANY}
        caches = {road: self._cache(size) for road, size in sizes.items()}
        other = self._cache(_MANY)

        def through(cache: AsyncCacheManager) -> Source:
            return CachedPredictor(
                triton, cache, versions, ttl_s=_TTL_S, timeout_s=_TIMEOUT_S, usable=lambda: True
            )

        sources: dict[Road, Source] = {road: through(cache) for road, cache in caches.items()}
        sources["computed"] = triton
        asks = {
            road: [[Ask(code, day, "fp32", number) for code, day in call] for call in mine]
            for road, mine in calls.items()
        }
        found: dict[Road, list[float]] = {road: [] for road in calls}
        try:
            for call in asks["local"]:
                await sources["local"].predict(call, _TIMEOUT_S)
            for call in asks["redis"]:
                await through(other).predict(call, _TIMEOUT_S)
            for group in zip(*(asks[road] for road in calls), strict=True):
                for road, call in zip(calls, group, strict=True):
                    began = time.perf_counter()
                    answers = await sources[road].predict(call, _TIMEOUT_S)
                    found[road].append((time.perf_counter() - began) * 1e3)
                    _check(answers, cached=road in ("local", "redis"))
        finally:
            for cache in (*caches.values(), other):
                await cache.close()
            await triton.close()
        return found

    def _cache(self, entries: int) -> AsyncCacheManager:
        return AsyncCacheManager(
            Plan(redis_url=self.redis_url, local_entries=entries, timeout_s=_PATIENT_S)
        )


def _check(answers: Sequence[object], *, cached: bool) -> None:
    for answer in answers:
        if not isinstance(answer, Answer) or answer.status is not Status.OK:
            raise AssertionError(f"no prediction: {answer}")
        if answer.cached is not cached:
            raise AssertionError(f"came by another road: {answer}")
