"""POST /api/v1/cache/clear and GET /api/v1/cache/stats."""

import httpx
import structlog
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.administrator import Administrator
from gateway.api.answers import CacheClearedAnswer, CacheCountsAnswer, CacheStatsAnswer
from gateway.api.incoming import validated
from gateway.api.responses import JSONAnswer
from gateway.api.schemas import CacheClearQuery
from gateway.cache.async_cache_manager import AsyncCacheManager
from gateway.cache.features.counts import METRIC
from gateway.cache.keys import KINDS
from gateway.cache.statistics import RECENT_S, CacheStats
from gateway.errors import ReadOnlyError
from preprocess.errors import CacheError

log = structlog.get_logger()

_TIMEOUT_S = 1.0


class FeaturesModel:
    """The features cache, which lives in Triton's process."""

    def __init__(self, metrics_url: str) -> None:
        """`metrics_url` is the URL of Triton's metrics."""
        self._url = metrics_url

    async def cache_stats(self) -> CacheStats | None:
        """The counts since the model was loaded; None if Triton does not send them in a second."""
        try:
            # With `verify` a new client would read the machine's certificates: 22 ms.
            async with httpx.AsyncClient(
                timeout=_TIMEOUT_S,
                trust_env=False,
                verify=False,  # noqa: S501 - plain http
            ) as client:
                response = await client.get(self._url)
            response.raise_for_status()
            return counts(response.text)
        except (httpx.HTTPError, ValueError, OverflowError):
            return None


def counts(text: str) -> CacheStats:
    """The counts in a metrics page, summed over the model's instances.

    Raises:
        ValueError: the text is not a metrics page.
    """
    found = {("local", "hit"): 0, ("local", "miss"): 0, ("redis", "hit"): 0}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == METRIC and sample.labels.get("cache") == "features":
                name = sample.labels.get("tier", ""), sample.labels.get("result", "")
                if name in found:
                    found[name] += int(sample.value)
    remote = found["redis", "hit"]
    return CacheStats(found["local", "hit"], remote, found["local", "miss"] - remote)


class CacheEndpoints:
    """Statistics of this process's cache, and clearing it in every process."""

    def __init__(
        self,
        administrator: Administrator,
        cache: AsyncCacheManager,
        features_model: FeaturesModel | None,
    ) -> None:
        """`features_model` is None if that model caches nothing."""
        self._administrator = administrator
        self._cache = cache
        self._features_model = features_model

    async def clear(self, request: Request) -> Response:
        """Once this has responded, no replica answers from the cleared values."""
        who = await self._administrator.require(request)
        query = validated(CacheClearQuery, dict(request.query_params), "query")
        kind = None if query.type == "all" else query.type
        stocks = None if query.bse_code is None else [query.bse_code]
        answer = CacheClearedAnswer(type=query.type, bse_code=query.bse_code, dropped=0)
        try:
            answer["dropped"] = await self._cache.invalidate(kind=kind, stocks=stocks)
        except CacheError as error:
            log.warning("other processes were not told of a clear", error=str(error))
            raise ReadOnlyError(
                "Other processes could not be told to clear their caches: the data folder cannot "
                "be written here"
            ) from error
        finally:
            await self._administrator.record(request, who, "cache clear", cleared=answer)
        return JSONAnswer(answer)

    async def stats(self, _: Request) -> Response:
        """Counts of this process by kind and tier, since its start and over the last minutes."""
        model = None if self._features_model is None else await self._features_model.cache_stats()
        core = self._cache.core
        entries, size = core.size
        statistics = core.statistics
        return JSONAnswer(
            CacheStatsAnswer(
                kinds={
                    kind: {
                        "enabled": kind in core.plan.kinds,
                        "ttl_s": core.plan.ttls.get(kind),
                        "since_start": _counts(statistics.of(kind)),
                        "recent": _counts(statistics.of(kind, recent=True)),
                    }
                    for kind in KINDS
                },
                features_model=None if model is None else _counts(model),
                recent_s=RECENT_S,
                memory={
                    "entries": entries,
                    "bytes": size,
                    "most_entries": core.plan.local_entries,
                    "most_bytes": core.plan.local_bytes,
                    "ttl_s": core.plan.local_ttl_s,
                    "current": core.is_current,
                },
                redis=core.redis,
            )
        )


def _counts(stats: CacheStats) -> CacheCountsAnswer:
    return {
        "asked": stats.asked,
        "local_hits": stats.local_hits,
        "redis_hits": stats.remote_hits,
        "misses": stats.misses,
        "hit_rate": stats.hit_rate,
    }
