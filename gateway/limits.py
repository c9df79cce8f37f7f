"""Bounded concurrency: so many requests to the predictor under way, so many waiting, no more."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

from gateway.errors import DeadlineExceededError, PredictorOverloadedError
from gateway.ports import Answer, Ask, Predictor


class Limits:
    """Places for requests under way, handed on in order of arrival."""

    def __init__(self, *, in_flight: int, waiting: int) -> None:
        self._places = in_flight
        self._seats = waiting
        self._taken = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def in_flight(self) -> int:
        """Requests that hold a place."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Requests that wait for one."""
        return len(self._queue)

    def take(self) -> bool:
        """Take a place if one is free and nobody waits for it."""
        if self._taken >= self._places or self._queue:
            return False
        self._taken += 1
        return True

    async def wait(self) -> None:
        """Wait for a place and take it. A caller that is cancelled leaves the queue.

        Raises:
            PredictorOverloadedError: as many wait as may.
        """
        if len(self._queue) >= self._seats:
            raise PredictorOverloadedError(
                f"{self._taken} requests under way and {len(self._queue)} waiting"
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # the place came in the moment of leaving: hand it on
            elif turn in self._queue:
                self._queue.remove(turn)
            raise

    def leave(self) -> None:
        """Give a place back; the one who has waited longest gets it."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken -= 1


class LimitedPredictor:
    """A predictor behind limits. The time spent waiting is taken off the time-out."""

    def __init__(
        self, inner: Predictor, limits: Limits, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._inner = inner
        self._limits = limits
        self._monotonic = monotonic

    async def predict(self, asks: Sequence[Ask], timeout_s: float) -> list[Answer]:
        """As the inner predictor, once there is a place.

        Raises:
            PredictorOverloadedError: there is neither a place nor a seat to wait on.
            DeadlineExceededError: the place came too late.
        """
        if not self._limits.take():
            began = self._monotonic()
            await self._limits.wait()
            timeout_s -= self._monotonic() - began
        try:
            if timeout_s <= 0:
                raise DeadlineExceededError("the time was spent waiting for a place")
            return await self._inner.predict(asks, timeout_s)
        finally:
            self._limits.leave()

    async def close(self) -> None:
        """Close the inner predictor."""
        await self._inner.close()
