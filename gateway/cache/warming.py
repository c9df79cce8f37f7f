"""Puts the predictions that people will ask for into the cache before they do."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from gateway.cache.async_cache_manager import AsyncCacheManager
from gateway.cache.codec import MISS
from gateway.catalog.routing import Router
from gateway.errors import PredictorError
from gateway.ports import InferenceResult, PredictionQuery, PredictionSource
from preprocess.models.names import DEFAULT_VARIANT

log = structlog.get_logger()

POLL_S = 1.0
# The market is gone through so often: what has expired meanwhile is computed again.
_AGAIN_S = 300.0
_CLAIM_S = 60.0
# Gateways notice a change in the same second, and one of them is to go first.
_FIRST_WITHIN_S = 1.0
# Rows are computed and encoded between two requests of somebody who waits: few at a time.
_BATCH_ROWS = 20


@dataclass(frozen=True, slots=True)
class Market:
    """Which predictions people ask for: all stocks, on some ISO days; `state` is the data's."""

    state: str
    days: Sequence[str]
    codes: Sequence[str]


class Warmer:
    """Asks for the prediction of every stock when the market, the versions or the day change.

    It is done by whichever gateway comes first. All that it computes goes the road of requests, so
    that an invalidation counts for it as for them. Redis holds the values: the memory of
    one process has no room for a market.
    """

    def __init__(
        self,
        source: PredictionSource,
        cache: AsyncCacheManager,
        router: Router,
        *,
        market: Callable[[], Market],
        may_run: Callable[[], bool],
        timeout_s: float,
    ) -> None:
        """`source` caches in `cache`, which is to be none that requests are counted in. Nothing is
        asked while it may not run.
        """
        self._source = source
        self._cache = cache
        self._router = router
        self._market = market
        self._may_run = may_run
        self._timeout_s = timeout_s

    async def run(self) -> None:
        """Go through the market if that is due."""
        market = self._market()
        note = self._note(market)
        if not market.codes or await self._cache.get(note) is not MISS:
            return
        if self._cache.core.redis != "up" or not self._may_run():
            return
        await asyncio.sleep(_FIRST_WITHIN_S * random.random())  # noqa: S311 - spreads gateways
        if await self._cache.get(note) is not MISS:
            return
        # A pass that is broken off is tried again when this has expired.
        await self._cache.set(note, True, _CLAIM_S)
        began = time.monotonic()
        stocks = [(code, day) for day in market.days for code in market.codes]
        computed = 0
        for start in range(0, len(stocks), _BATCH_ROWS):
            batch_began = time.monotonic()
            results = await self._batch(stocks[start : start + _BATCH_ROWS])
            if results is None:
                return
            computed += sum(not result.cached for result in results)
            if self._note(self._market()) != note or not self._may_run():
                return
            # Half of the time belongs to the requests.
            await asyncio.sleep(time.monotonic() - batch_began)
        await self._cache.set(note, True, _AGAIN_S)
        if computed:
            seconds = round(time.monotonic() - began, 2)
            log.info("the cache is warm", predictions=computed, days=market.days, seconds=seconds)

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._cache.close()

    def _note(self, market: Market) -> str:
        """The key of the note that a state of the market and its versions has been gone through."""
        labels = self._router.labels.generation
        return f"warmed:{market.state}:{labels}:{'+'.join(market.days)}"

    async def _batch(self, stocks: Sequence[tuple[str, str]]) -> list[InferenceResult] | None:
        """The results for some stocks and days; None if there is no answer for one."""
        by_version: dict[int | None, list[PredictionQuery]] = {}
        for code, day in stocks:
            version = self._router.route(DEFAULT_VARIANT, code).version
            query = PredictionQuery(code, day, DEFAULT_VARIANT, version)
            by_version.setdefault(version, []).append(query)
        found: list[InferenceResult] = []
        for queries in by_version.values():
            try:
                results = await self._source.predict(queries, self._timeout_s)
            except PredictorError:
                return None
            found += [result for result in results if not isinstance(result, PredictorError)]
        return found if len(found) == len(stocks) else None
