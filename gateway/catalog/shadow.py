"""Shadow traffic: a candidate predicts what the stable version has predicted, for comparison.

Callers never wait for it: it starts after the response, in a bounded queue, and is dropped when
that is full.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.catalog.versions import ModelCatalog
from gateway.errors import PredictorError
from gateway.ports import InferenceResult, PredictionQuery, PredictionSource
from preprocess.features.row import Status
from preprocess.models.names import Variant

TIMEOUT_S = 2.0
_WAITING = 256
_MOST_ROWS = 100

Observe = Callable[[Variant, str, float | None], None]
"""Called with the variant, `same`, `other`, `failed` or `dropped`, and the absolute difference of
the two probabilities, if there are two."""


@dataclass(frozen=True, slots=True)
class _Work:
    query: PredictionQuery
    probability: float
    label: int


class Shadow:
    """Compares predictions, one request at a time, in the background task `run`."""

    def __init__(self, source: PredictionSource, versions: ModelCatalog, observe: Observe) -> None:
        """`source` must bypass the limits on requests, so that shadows take no slot of a caller."""
        self._source = source
        self._versions = versions
        self._observe = observe
        self._queue: asyncio.Queue[_Work] = asyncio.Queue(_WAITING)

    def offer(self, query: PredictionQuery, version: int, probability: float, label: int) -> None:
        """Queue a comparison of `version` with the `probability` and `label` of a response."""
        try:
            self._queue.put_nowait(_Work(replace(query, version=version), probability, label))
        except asyncio.QueueFull:
            self._observe(query.variant, "dropped", None)

    async def run(self) -> None:
        """Compare what is offered, without end; queries for the same version share a request."""
        while True:
            first = await self._queue.get()
            works = [first]
            while len(works) < _MOST_ROWS and not self._queue.empty():
                works.append(self._queue.get_nowait())
            groups: dict[tuple[Variant, int | None], list[_Work]] = {}
            for work in works:
                groups.setdefault((work.query.variant, work.query.version), []).append(work)
            for group in groups.values():
                await self._compare(group)

    async def _compare(self, works: list[_Work]) -> None:
        queries = [work.query for work in works]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                results = await self._source.predict(queries, TIMEOUT_S)
        except (PredictorError, TimeoutError):
            for work in works:
                self._observe(work.query.variant, "failed", None)
            return
        for work, result in zip(works, results, strict=True):
            await self._judge(work, result)

    async def _judge(self, work: _Work, result: InferenceResult | PredictorError) -> None:
        variant = work.query.variant
        if isinstance(result, PredictorError):
            self._observe(variant, "failed", None)
            return
        version = await self._versions.look_up(variant, result.model_version)
        if result.status is not Status.OK or version is None:
            self._observe(variant, "failed", None)
            return
        label = int(result.probability >= version.threshold)
        outcome = "same" if label == work.label else "other"
        self._observe(variant, outcome, abs(result.probability - work.probability))
