"""Bounded batching: limits on the requests in flight to each model and on the callers in its queue.

A model that hangs delays, or turns away, only its own callers. Callers that wait for a slot of the
same model share one request when a slot becomes free. Under load this saves most of the cost of a
request, and a caller never waits just to fill a batch.
"""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import DeadlineExceededError, PredictorOverloadedError
from gateway.ports import InferenceResult, PredictionQuery, Predictor
from preprocess.models.names import Variant

_Model = tuple[Variant, int | None]

MOST_ROWS = 100
"""Most rows of a joined request; a single caller may bring more."""


@dataclass(eq=False, slots=True)
class _Waiter:
    queries: Sequence[PredictionQuery]
    deadline: float
    task: asyncio.Task[object] | None
    results: asyncio.Future[list[InferenceResult]]
    batch: "_Batch | None" = None


@dataclass(eq=False, slots=True)
class _Batch:
    """Waiters for one variant and version whose queries are one request."""

    waiters: list[_Waiter] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    def is_abandoned(self) -> bool:
        """Whether no caller waits for its results."""
        return all(waiter.results.done() for waiter in self.waiters)


def _model(queries: Sequence[PredictionQuery]) -> _Model:
    return queries[0].variant, queries[0].version


class BatchingPredictor:
    """A predictor with limited concurrency. Time in the queue counts against the timeout."""

    def __init__(
        self,
        inner: Predictor,
        *,
        in_flight: int,
        waiting: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Each version of a variant has `in_flight` slots for requests of `inner`, and a queue with
        room for `waiting` callers.
        """
        self._inner = inner
        self._slots = in_flight
        self._queue_size = waiting
        self._monotonic = monotonic
        self._taken: Counter[_Model] = Counter()
        self._queues: defaultdict[_Model, deque[_Waiter]] = defaultdict(deque)
        self._batches: set[_Batch] = set()

    @property
    def in_flight(self) -> int:
        """Requests in flight."""
        return self._taken.total()

    @property
    def waiting(self) -> int:
        """Callers in the queue."""
        return sum(map(len, self._queues.values()))

    def is_queued(self, task: asyncio.Task[Any]) -> bool:
        """Whether a task waits in a queue: its request has not been sent."""
        return any(waiter.task is task for queue in self._queues.values() for waiter in queue)

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        """As the inner predictor, once there is a slot. A cancelled caller leaves the queue.

        Raises:
            PredictorOverloadedError: there is no free slot, and the queue is full.
            DeadlineExceededError: there was no free slot before the timeout.
        """
        model = _model(queries)
        if self._taken[model] < self._slots:  # then nobody waits for this model
            self._taken[model] += 1
            try:
                return await self._inner.predict(queries, timeout_s)
            finally:
                self._dispatch_next(model)
        queue = self._queues[model]
        if len(queue) >= self._queue_size:
            raise PredictorOverloadedError(
                f"{self._taken[model]} requests in flight and {len(queue)} callers waiting"
            )
        waiter = _Waiter(
            queries,
            self._monotonic() + timeout_s,
            asyncio.current_task(),
            asyncio.get_running_loop().create_future(),
        )
        queue.append(waiter)
        try:
            return await waiter.results
        finally:
            self._leave(model, waiter)

    async def close(self) -> None:
        """Cancel the joined requests in flight, and close the inner predictor."""
        for batch in self._batches:
            if batch.task is not None:
                batch.task.cancel()
        await self._inner.close()

    def _leave(self, model: _Model, waiter: _Waiter) -> None:
        batch = waiter.batch
        if batch is None:
            self._queues[model].remove(waiter)
        elif batch.task is not None and batch.is_abandoned():
            batch.task.cancel()  # has no effect on a task that has ended

    def _dispatch_next(self, model: _Model) -> None:
        """Give a slot to the callers that have waited longest for this model, or free it."""
        batch = self._next_batch(model)
        if batch is None:
            self._taken[model] -= 1
            if not self._taken[model]:  # versions come and go
                del self._taken[model]
                if not self._queues[model]:
                    del self._queues[model]
            return
        self._batches.add(batch)
        batch.task = asyncio.create_task(self._run_batch(batch), name="joined request")

    def _next_batch(self, model: _Model) -> _Batch | None:
        queue = self._queues[model]
        batch = _Batch()
        rows = 0
        now = self._monotonic()
        for waiter in list(queue):
            if waiter.deadline <= now and not waiter.results.done():
                late = DeadlineExceededError("no free slot before the deadline")
                waiter.results.set_exception(late)
            if waiter.results.done():
                continue  # its caller is about to leave the queue
            if rows + len(waiter.queries) <= MOST_ROWS or not batch.waiters:
                batch.waiters.append(waiter)
                rows += len(waiter.queries)
        for waiter in batch.waiters:
            queue.remove(waiter)
            waiter.batch = batch
        return batch if batch.waiters else None

    async def _run_batch(self, batch: _Batch) -> None:
        queries = [query for waiter in batch.waiters for query in waiter.queries]
        timeout_s = max(waiter.deadline for waiter in batch.waiters) - self._monotonic()
        try:
            results = await self._inner.predict(queries, timeout_s)
        except BaseException as error:
            for waiter in batch.waiters:
                if not waiter.results.done():
                    waiter.results.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            start = 0
            for waiter in batch.waiters:
                end = start + len(waiter.queries)
                if not waiter.results.done():
                    waiter.results.set_result(results[start:end])
                start = end
        finally:
            self._batches.discard(batch)
            self._dispatch_next(_model(queries))
