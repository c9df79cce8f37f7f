"""A candidate computes what the stable version has answered, and the two are compared.

Never in a caller's path: it begins when the answer is there, waits in a bounded queue, and is
left out when that is full.
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
"""Called with the variant, `same`, `other`, `failed` or `dropped`, and how far the probabilities
lie apart where there are two."""


@dataclass(frozen=True, slots=True)
class _Work:
    query: PredictionQuery
    probability: float
    label: int


class Shadow:
    """Compares one request at a time. `run` is the background task that does it."""

    def __init__(self, source: PredictionSource, versions: ModelCatalog, observe: Observe) -> None:
        """`source` is past the limits of requests: shadows take places of nobody."""
        self._source = source
        self._versions = versions
        self._observe = observe
        self._queue: asyncio.Queue[_Work] = asyncio.Queue(_WAITING)

    def offer(self, query: PredictionQuery, version: int, probability: float, label: int) -> None:
        """Have `version` compute what was answered with `probability` and `label`."""
        try:
            self._queue.put_nowait(_Work(replace(query, version=version), probability, label))
        except asyncio.QueueFull:
            self._observe(query.variant, "dropped", None)

    async def run(self) -> None:
        """Compare what is offered, for ever; what waits for the same version travels together."""
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
                answers = await self._source.predict(queries, TIMEOUT_S)
        except (PredictorError, TimeoutError):
            for work in works:
                self._observe(work.query.variant, "failed", None)
            return
        for work, answer in zip(works, answers, strict=True):
            await self._judge(work, answer)

    async def _judge(self, work: _Work, answer: InferenceResult | PredictorError) -> None:
        variant = work.query.variant
        if isinstance(answer, PredictorError):
            self._observe(variant, "failed", None)
            return
        version = await self._versions.look_up(variant, answer.model_version)
        if answer.status is not Status.OK or version is None:
            self._observe(variant, "failed", None)
            return
        label = int(answer.probability >= version.threshold)
        result = "same" if label == work.label else "other"
        self._observe(variant, result, abs(answer.probability - work.probability))
