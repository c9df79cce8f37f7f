"""One computation a key at a time, for coroutines: a caller that leaves cancels nobody."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from preprocess.cache.core import Moment
from preprocess.cache.outcome import Landed
from preprocess.errors import CacheError

_Future = asyncio.Future[Landed]


class AsyncFlights:
    """Computations by key, each in a task that is held until it ends."""

    def __init__(self, may_join: Callable[[str, Moment], bool]) -> None:
        """`may_join`: whether a computation of a key that began at a moment is recent enough."""
        self._may_join = may_join
        self._flights: dict[str, tuple[Moment, _Future]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def board(
        self, keys: Sequence[str], moment: Moment
    ) -> tuple[dict[str, _Future], dict[str, _Future]]:
        """Flights that the caller has to make, and those of others that it may wait for."""
        mine: dict[str, _Future] = {}
        others: dict[str, _Future] = {}
        loop = asyncio.get_running_loop()
        for key in keys:
            flight = self._flights.get(key)
            if flight is not None and self._may_join(key, flight[0]):
                others[key] = flight[1]
            else:
                mine[key] = loop.create_future()
                mine[key].add_done_callback(_looked_at)
                self._flights[key] = (moment, mine[key])
        return mine, others

    def lead(
        self,
        mine: dict[str, _Future],
        computation: Coroutine[Any, Any, dict[str, Landed]],
    ) -> None:
        """Make the flights, in a task: they go on if the caller does not wait."""
        task = asyncio.create_task(self._fly(mine, computation), name="tezi-cache-compute")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is under way; whoever waits for it gets a CacheError."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fly(
        self,
        mine: dict[str, _Future],
        computation: Coroutine[Any, Any, dict[str, Landed]],
    ) -> None:
        landed: dict[str, Landed] = {}
        error: Exception = CacheError("The cache was closed while this was being computed.")
        try:
            landed = await computation
        except Exception as found:  # noqa: BLE001 - whatever it is, it is handed to the callers
            error = found
        finally:
            computation.close()  # a task that was cancelled before its first step never began it
            for key, future in mine.items():
                if self._flights.get(key, (None, None))[1] is future:
                    del self._flights[key]
                if not future.done():
                    if key in landed:
                        future.set_result(landed[key])
                    else:
                        future.set_exception(error)


def _looked_at(future: _Future) -> None:
    """An error that nobody waits for any more is none to warn of."""
    if not future.cancelled():
        future.exception()
