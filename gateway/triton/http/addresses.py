"""The addresses that a name leads to, each in its turn."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from socket import SOCK_STREAM

Endpoint = tuple[str, int]
LookUp = Callable[[], Awaitable[list[Endpoint]]]

# A place that refused is asked last for so long, and a name no more often looked up than this.
_DOUBT_S = 0.5


class Addresses:
    """Where the servers behind a name are.

    The name is looked up when it is first needed, soon after a place has refused, and when what is
    known is older than `max_age_s`, if that is not 0. All but the first look beside the requests.
    """

    def __init__(self, look_up: LookUp, *, max_age_s: float = 0.0) -> None:
        self._look_up = look_up
        self._max_age_s = max_age_s
        self._known: list[Endpoint] = []
        self._looked = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._turn = -1
        self._refused: dict[Endpoint, float] = {}
        self._doubted = False

    async def in_turn(self) -> list[Endpoint]:
        """All places, the one whose turn it is first; those that just refused come last.

        Raises:
            OSError: the name leads nowhere, or cannot be looked up.
        """
        now = asyncio.get_running_loop().time()
        if not self._known:
            await asyncio.shield(self._search())
        elif self._is_old(now):
            self._search()
        self._turn = (self._turn + 1) % len(self._known)
        places = self._known[self._turn :] + self._known[: self._turn]
        if self._refused:
            places.sort(key=lambda place: self._refused.get(place, -_DOUBT_S) + _DOUBT_S > now)
        return places

    def knows(self, place: Endpoint) -> bool:
        """Whether the name leads there, as far as is known."""
        return place in self._known

    def refused(self, place: Endpoint) -> None:
        """Nobody answers there: ask others first, and look the name up anew."""
        self._refused[place] = asyncio.get_running_loop().time()
        self._doubted = True

    def answered(self, place: Endpoint) -> None:
        """There is somebody."""
        self._refused.pop(place, None)

    async def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await self._looking

    def _is_old(self, now: float) -> bool:
        age = now - self._looked
        return (self._doubted and age > _DOUBT_S) or 0 < self._max_age_s < age

    def _search(self) -> "asyncio.Task[None]":
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._looked_up(), name="look Triton's name up")
            # What nobody waits for is seen by the next request that must know.
            self._looking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._looking

    async def _looked_up(self) -> None:
        self._doubted = False
        try:
            found = await self._look_up()
        finally:
            self._looked = asyncio.get_running_loop().time()
        if not found:
            raise OSError("the name leads to no address")
        self._known = list(dict.fromkeys(found))
        self._refused = {place: at for place, at in self._refused.items() if self.knows(place)}


def name_look_up(host: str, port: int) -> LookUp:
    """How the system looks a host's name up; an address leads to itself."""
    return partial(_system_look_up, host, port)


async def _system_look_up(host: str, port: int) -> list[Endpoint]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    return [(str(address[0]), port) for *_, address in found]
