"""Single flight: one computation per key at a time, shared by all callers of that time."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from gateway.cache.core import Moment
from preprocess.errors import CacheError

Flight = asyncio.Task[dict[str, object]]
MayCancel = Callable[[Flight], bool]
"""Whether nothing is lost with a computation that nobody waits for any more."""


class SingleFlight:
    """The computations in flight by key, each for all keys that one caller missed."""

    def __init__(self, may_join: Callable[[Moment], bool]) -> None:
        """`may_join`: whether a computation that began at a moment is recent enough."""
        self._may_join = may_join
        self._flights: dict[str, tuple[Moment, Flight]] = {}
        self._keys: dict[Flight, Sequence[str]] = {}
        self._callers: Counter[Flight] = Counter()

    def join(self, keys: Sequence[str]) -> dict[Flight, list[str]]:
        """Join the computations in flight of these keys; each with the keys it is for."""
        others: dict[Flight, list[str]] = {}
        for key in keys:
            known = self._flights.get(key)
            if known is not None and self._may_join(known[0]):
                others.setdefault(known[1], []).append(key)
        self._callers.update(others.keys())
        return others

    def start(
        self,
        keys: Sequence[str],
        moment: Moment,
        computation: Coroutine[Any, Any, dict[str, object]],
    ) -> Flight:
        """Start, and join, a computation for keys in a task of its own."""
        flight = asyncio.create_task(computation, name="tezi-cache-compute")
        self._callers[flight] = 1
        self._keys[flight] = keys
        for key in keys:
            self._flights[key] = moment, flight

        def ended(_: Flight) -> None:
            self._forget(flight)
            if not flight.cancelled():
                flight.exception()  # mark it as retrieved: all callers may have left

        flight.add_done_callback(ended)
        return flight

    def leave(self, flights: Iterable[Flight], may_cancel: MayCancel) -> None:
        """Leave computations; those that nobody waits for are cancelled where they may be."""
        for flight in flights:
            if flight.done():
                continue
            self._callers[flight] -= 1
            if not self._callers[flight] and may_cancel(flight):
                self._forget(flight)  # from now on nobody joins it
                flight.cancel()

    async def close(self) -> None:
        """Cancel all computations in flight; waiting callers get a CacheError."""
        flights = list(self._keys)
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _forget(self, flight: Flight) -> None:
        self._callers.pop(flight, None)
        for key in self._keys.pop(flight, ()):
            if self._flights.get(key, (None, None))[1] is flight:
                del self._flights[key]


async def outcome_of(flight: Flight) -> Mapping[str, object] | Exception:
    """The result or error of a computation. A caller that leaves does not cancel it."""
    await asyncio.wait((flight,))
    if flight.cancelled():
        return CacheError("The cache was closed while this was being computed.")
    error = flight.exception()
    return error if isinstance(error, Exception) else flight.result()
