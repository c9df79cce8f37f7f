"""A prediction that finds no model is asked for again: of the stable version, of another Triton, or
of the same one a moment later.
"""

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

# Of a caller's time. By default half a second of two, of which nginx gives a gateway one.
SHARE_OF_TIME = 0.25

# One of several Tritons that ends refuses, and the next one has its turn. Only after these is there
# something to wait for. They are made however late: a Triton that is told to end lets who asks it
# over HTTP wait for as long as it takes to end.
_AT_ONCE = 4
_SHORTEST_S, _LONGEST_S = 0.005, 0.2


class FailoverPredictor:
    """Asks again, where that helps: who fails costs callers time only.

    A candidate that does not answer is replaced by the stable version of this moment. That covers
    also the moment in which a version has left Triton and this gateway's labels still name it.
    A Triton that is told to end lets go of its models first and refuses for seconds, and one that
    has ended is not there: another one behind the same name answers, or the next one in its place.
    """

    def __init__(self, inner: Predictor, router: Router) -> None:
        self._inner = inner
        self._router = router

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        """As the inner predictor, which is waited for a quarter of `timeout_s` at most while it
        refuses.
        """
        now = asyncio.get_running_loop().time
        began = now()
        try:
            return await self._inner.predict(queries, timeout_s)
        except GpuAbsentError:
            raise
        except (PredictorUnavailableError, VariantUnavailableError) as error:
            trouble: PredictorError = error
        other = await self._router.instead_of(queries[0].variant, queries[0].version)
        if other is not None:
            queries = [replace(query, version=other) for query in queries]
            try:
                return await self._inner.predict(queries, began + timeout_s - now())
            except PredictorError as error:
                trouble = error
        for pause_s in _pauses():
            share = SHARE_OF_TIME if pause_s else 1.0
            if now() + pause_s > began + timeout_s * share:
                break
            if not _passes(trouble):
                break
            await asyncio.sleep(pause_s)
            try:
                return await self._inner.predict(queries, began + timeout_s - now())
            except PredictorError as error:
                trouble = error
        raise trouble

    async def close(self) -> None:
        """Close the inner predictor."""
        await self._inner.close()


def _passes(trouble: PredictorError) -> bool:
    """Whether another Triton need not say it, or the same one a moment later."""
    if isinstance(trouble, GpuAbsentError):
        return False
    return isinstance(trouble, (PredictorAwayError, VariantUnavailableError))


def _pauses() -> Iterator[float]:
    """Seconds before each try: none at first, then longer and longer ones, for ever."""
    for _ in range(_AT_ONCE):
        yield 0.0
    pause_s = _SHORTEST_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, _LONGEST_S)
