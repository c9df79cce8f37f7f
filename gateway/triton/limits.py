"""Bounded concurrency: so many requests to each model under way, so many callers waiting.

A model that hangs holds up its own callers only. Callers who wait for the same place travel
together: their asks become one request. Under load that spares most of the cost of a request, and
nobody ever waits for company.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.errors import DeadlineExceededError, PredictorOverloadedError
from gateway.ports import InferenceResult, PredictionQuery, Predictor
from preprocess.models.names import Variant

_Model = tuple[Variant, int | None]

MOST_ROWS = 100
"""Rows that are joined into one request; a single caller may bring more."""


@dataclass(eq=False, slots=True)
class _Waiter:
    queries: Sequence[PredictionQuery]
    end: float
    answers: asyncio.Future[list[InferenceResult]]
    group: "_Group | None" = None


@dataclass(eq=False, slots=True)
class _Group:
    """Waiters of one variant and version whose asks are one request."""

    waiters: list[_Waiter] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    def left_alone(self) -> bool:
        """Whether every caller has gone or been answered."""
        return all(waiter.answers.done() for waiter in self.waiters)


def _model(queries: Sequence[PredictionQuery]) -> _Model:
    return queries[0].variant, queries[0].version


class LimitedPredictor:
    """A predictor behind limits. The time spent waiting is taken off the time-out."""

    def __init__(
        self,
        inner: Predictor,
        *,
        in_flight: int,
        waiting: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """At most `in_flight` requests of `inner` to a version of a variant run at once, and at
        most `waiting` callers wait, whatever for.
        """
        self._inner = inner
        self._places = in_flight
        self._seats = waiting
        self._monotonic = monotonic
        self._taken: Counter[_Model] = Counter()
        self._queue: deque[_Waiter] = deque()
        self._groups: set[_Group] = set()

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._taken.total()

    @property
    def waiting(self) -> int:
        """Callers that wait for a place."""
        return len(self._queue)

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        """As the inner predictor, once there is a place. A caller that is cancelled makes room.

        Raises:
            PredictorOverloadedError: there is neither a place nor a seat to wait on.
            DeadlineExceededError: the place came too late.
        """
        model = _model(queries)
        if self._taken[model] < self._places:  # then nobody waits for it
            self._taken[model] += 1
            try:
                return await self._inner.predict(queries, timeout_s)
            finally:
                self._hand_on(model)
        if len(self._queue) >= self._seats:
            raise PredictorOverloadedError(
                f"{self.in_flight} requests under way and {len(self._queue)} callers waiting"
            )
        waiter = _Waiter(
            queries, self._monotonic() + timeout_s, asyncio.get_running_loop().create_future()
        )
        self._queue.append(waiter)
        try:
            return await waiter.answers
        finally:
            self._leave(waiter)

    async def close(self) -> None:
        """Give up what is still under way, and close the inner predictor."""
        for group in self._groups:
            if group.task is not None:
                group.task.cancel()
        await self._inner.close()

    def _leave(self, waiter: _Waiter) -> None:
        group = waiter.group
        if group is None:
            self._queue.remove(waiter)
        elif group.task is not None and group.left_alone():
            group.task.cancel()  # nobody waits for it; does nothing to one that has ended

    def _hand_on(self, model: _Model) -> None:
        """Give a place to those who have waited longest for this model, or back."""
        group = self._next_group(model)
        if group is None:
            self._taken[model] -= 1
            if not self._taken[model]:
                del self._taken[model]  # versions come and go
            return
        self._groups.add(group)
        group.task = asyncio.create_task(self._travel(group), name="joined request")

    def _next_group(self, model: _Model) -> _Group | None:
        if not self._queue:
            return None
        group = _Group()
        rows = 0
        now = self._monotonic()
        for waiter in list(self._queue):
            if waiter.end <= now and not waiter.answers.done():
                late = DeadlineExceededError("the time was spent waiting for a place")
                waiter.answers.set_exception(late)
            if waiter.answers.done():
                continue  # it is on its way out of the queue
            fits = rows + len(waiter.queries) <= MOST_ROWS or not group.waiters
            if fits and _model(waiter.queries) == model:
                group.waiters.append(waiter)
                rows += len(waiter.queries)
        for waiter in group.waiters:
            self._queue.remove(waiter)
            waiter.group = group
        return group if group.waiters else None

    async def _travel(self, group: _Group) -> None:
        queries = [query for waiter in group.waiters for query in waiter.queries]
        timeout_s = max(waiter.end for waiter in group.waiters) - self._monotonic()
        try:
            answers = await self._inner.predict(queries, timeout_s)
        except BaseException as error:
            for waiter in group.waiters:
                if not waiter.answers.done():
                    waiter.answers.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            start = 0
            for waiter in group.waiters:
                end = start + len(waiter.queries)
                if not waiter.answers.done():
                    waiter.answers.set_result(answers[start:end])
                start = end
        finally:
            self._groups.discard(group)
            self._hand_on(_model(queries))
