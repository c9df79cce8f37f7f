"""Single flight: one computation per key at a time, which a leaving caller does not cancel."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from gateway.cache.core import Moment
from preprocess.errors import CacheError

Flight = asyncio.Task[dict[str, object]]


class Flights:
    """The computations in flight by key, each for all keys that one caller missed."""

    def __init__(self, may_join: Callable[[Moment], bool]) -> None:
        """`may_join`: whether a computation that began at a moment is recent enough."""
        self._may_join = may_join
        self._flights: dict[str, tuple[Moment, Flight]] = {}
        self._under_way: set[Flight] = set()

    def joined(self, keys: Sequence[str]) -> dict[Flight, list[str]]:
        """The computations in flight that may be joined, with the keys that each is for."""
        others: dict[Flight, list[str]] = {}
        for key in keys:
            known = self._flights.get(key)
            if known is not None and self._may_join(known[0]):
                others.setdefault(known[1], []).append(key)
        return others

    def lead(
        self,
        keys: Sequence[str],
        moment: Moment,
        computation: Coroutine[Any, Any, dict[str, object]],
    ) -> Flight:
        """Start a computation for keys in a task, which continues if the caller leaves."""
        flight = asyncio.create_task(computation, name="tezi-cache-compute")
        self._under_way.add(flight)
        for key in keys:
            self._flights[key] = moment, flight

        def ended(_: Flight) -> None:
            self._under_way.discard(flight)
            for key in keys:
                if self._flights.get(key, (None, None))[1] is flight:
                    del self._flights[key]
            if not flight.cancelled():
                flight.exception()  # mark it as retrieved: all callers may have left

        flight.add_done_callback(ended)
        return flight

    async def close(self) -> None:
        """Cancel all computations in flight; waiting callers get a CacheError."""
        flights = list(self._under_way)
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)


async def landing(flight: Flight) -> Mapping[str, object] | Exception:
    """The result or error of a computation. A caller that leaves does not cancel it."""
    await asyncio.wait((flight,))
    if flight.cancelled():
        return CacheError("The cache was closed while this was being computed.")
    error = flight.exception()
    return error if isinstance(error, Exception) else flight.result()
