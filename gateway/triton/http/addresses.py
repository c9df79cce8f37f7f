"""The endpoints that a host name resolves to, used in rotation."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from socket import SOCK_STREAM

Endpoint = tuple[str, int]
LookUp = Callable[[], Awaitable[list[Endpoint]]]

# For this long an endpoint that failed is tried last, and the name is not looked up again.
_DOUBT_S = 0.5


class Addresses:
    """The endpoints of the servers behind a name.

    The name is looked up when it is first needed, soon after an endpoint has failed, and when the
    known addresses are older than `max_age_s` (0: never). Requests wait only for the first lookup.
    """

    def __init__(self, look_up: LookUp, *, max_age_s: float = 0.0) -> None:
        self._look_up = look_up
        self._max_age_s = max_age_s
        self._known: list[Endpoint] = []
        self._looked_up_at = 0.0
        self._lookup: asyncio.Task[None] | None = None
        self._next = -1
        self._failed_at: dict[Endpoint, float] = {}
        self._doubted = False

    async def in_turn(self) -> list[Endpoint]:
        """All endpoints, rotated by one on each call; those that just failed come last.

        Raises:
            OSError: the name has no address, or cannot be looked up.
        """
        now = asyncio.get_running_loop().time()
        if not self._known:
            await asyncio.shield(self._start_lookup())
        elif self._is_old(now):
            self._start_lookup()
        self._next = (self._next + 1) % len(self._known)
        endpoints = self._known[self._next :] + self._known[: self._next]
        if self._failed_at:
            endpoints.sort(key=lambda each: self._failed_at.get(each, -_DOUBT_S) + _DOUBT_S > now)
        return endpoints

    def knows(self, endpoint: Endpoint) -> bool:
        """Whether the name resolved to this endpoint at the last lookup."""
        return endpoint in self._known

    def failed(self, endpoint: Endpoint) -> None:
        """Record that it cannot be reached: others go first, and the name is looked up again."""
        self._failed_at[endpoint] = asyncio.get_running_loop().time()
        self._doubted = True

    def connected(self, endpoint: Endpoint) -> None:
        """Record that it can be reached."""
        self._failed_at.pop(endpoint, None)

    async def close(self) -> None:
        """Cancel a lookup in flight."""
        if self._lookup is not None:
            self._lookup.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await self._lookup

    def _is_old(self, now: float) -> bool:
        age = now - self._looked_up_at
        return (self._doubted and age > _DOUBT_S) or 0 < self._max_age_s < age

    def _start_lookup(self) -> "asyncio.Task[None]":
        if self._lookup is None or self._lookup.done():
            self._lookup = asyncio.create_task(self._refresh(), name="look up Triton's name")
            # An error that no request waits for is retrieved here; known addresses stay in use.
            self._lookup.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._lookup

    async def _refresh(self) -> None:
        self._doubted = False
        try:
            found = await self._look_up()
        finally:
            self._looked_up_at = asyncio.get_running_loop().time()
        if not found:
            raise OSError("the name has no address")
        self._known = list(dict.fromkeys(found))
        self._failed_at = {each: at for each, at in self._failed_at.items() if self.knows(each)}


def name_look_up(host: str, port: int) -> LookUp:
    """The system's resolver; an IP address resolves to itself."""
    return partial(_system_look_up, host, port)


async def _system_look_up(host: str, port: int) -> list[Endpoint]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    return [(str(address[0]), port) for *_, address in found]
