"""Retries of predictions that found no model: with the stable version, another Triton, or later."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gateway.catalog.routing import Router
from gateway.errors import (
    GpuAbsentError,
    PredictorAwayError,
    PredictorError,
    PredictorUnavailableError,
    VariantUnavailableError,
)
from gateway.ports import InferenceResult, PredictionQuery, Predictor

# Share of the caller's time for retries. By default half a second of two, of which nginx gives a
# gateway one.
SHARE_OF_TIME = 0.25

# Where one of several Tritons is stopping, the next one in rotation answers at once. These retries
# are made however late it is, since a stopping Triton keeps HTTP requests waiting until it is gone.
_IMMEDIATE_RETRIES = 4
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.2


class FailoverPredictor:
    """Retries where that helps: a failure then costs callers only time.

    Where a version does not answer, the one that is stable now takes its place. This also covers
    the moment when a version has left Triton and this gateway's labels still name it. A Triton
    that is told to stop unloads its models first and refuses requests for seconds; then it is
    gone. Another Triton behind the same name answers, or the one that is started in its place.
    """

    def __init__(self, inner: Predictor, router: Router) -> None:
        self._inner = inner
        self._router = router

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        """As the inner predictor. Retries with pauses end after a quarter of `timeout_s`."""
        now = asyncio.get_running_loop().time
        began = now()
        try:
            return await self._inner.predict(queries, timeout_s)
        except GpuAbsentError:
            raise
        except (PredictorUnavailableError, VariantUnavailableError) as error:
            last: PredictorError = error
        stable = await self._router.instead_of(queries[0].variant, queries[0].version)
        if stable is not None:
            queries = [replace(query, version=stable) for query in queries]
            try:
                return await self._inner.predict(queries, began + timeout_s - now())
            except PredictorError as error:
                last = error
        for pause_s in _pauses():
            share = SHARE_OF_TIME if pause_s else 1.0
            if now() + pause_s > began + timeout_s * share or not _worth_retrying(last):
                break
            await asyncio.sleep(pause_s)
            try:
                return await self._inner.predict(queries, began + timeout_s - now())
            except PredictorError as error:
                last = error
        raise last

    async def close(self) -> None:
        """Close the inner predictor."""
        await self._inner.close()


def _worth_retrying(error: PredictorError) -> bool:
    """Whether another Triton may succeed, or the same one a moment later."""
    return isinstance(error, (PredictorAwayError, VariantUnavailableError)) and not isinstance(
        error, GpuAbsentError
    )


def _pauses() -> Iterator[float]:
    """Seconds before each retry: none at first, then longer and longer ones, without end."""
    for _ in range(_IMMEDIATE_RETRIES):
        yield 0.0
    pause_s = _SHORTEST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
