"""Connections to the servers behind one name, as many as there are questions under way."""

import asyncio
from collections import defaultdict

from gateway.triton.http.addresses import Addresses, Endpoint
from gateway.triton.http.connection import Connection, Reply

# One question is under way most of the time, and a few golden rows beside it.
_IDLE_PER_PLACE = 4
# A machine that is gone says nothing: others are asked before the caller's time is over.
_CONNECT_S = 0.5


class ConnectionPool:
    """Asks each server in its turn, over connections that are kept.

    A connection older than `max_age_s`, if that is not 0, is closed after its answer, so that one
    through a proxy or an address that is shared comes to another server in time.
    """

    def __init__(self, addresses: Addresses, *, max_age_s: float = 0.0) -> None:
        self._addresses = addresses
        self._max_age_s = max_age_s
        self._idle: defaultdict[Endpoint, list[Connection]] = defaultdict(list)
        self._closed = False

    async def request(self, message: bytes) -> Reply:
        """The answer of the server whose turn it is, or of the next one that can be reached.

        Raises:
            OSError: none can be reached, or the connection ended before the answer did.
        """
        refusals: list[str] = []
        for place in await self._addresses.in_turn():
            try:
                link = self._kept(place) or await self._opened(place)
            except OSError as error:
                refusals.append(f"{place[0]}:{place[1]}: {error or type(error).__name__}")
                continue
            try:
                reply = await link.request(message)
            except ConnectionError:
                self._addresses.refused(place)
                raise
            self._keep(place, link)
            return reply
        raise ConnectionError("; ".join(refusals))

    async def close(self) -> None:
        """Close what is idle; what is under way ends by itself, and is closed then."""
        self._closed = True
        await self._addresses.close()
        for place in list(self._idle):
            self._leave(place)

    def _kept(self, place: Endpoint) -> Connection | None:
        links = self._idle[place]
        while links:
            link = links.pop()
            if link.is_open and not self._is_old(link):
                return link
            link.close()
        return None

    async def _opened(self, place: Endpoint) -> Connection:
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, link = await asyncio.get_running_loop().create_connection(Connection, *place)
        except OSError:  # a time-out is one
            self._addresses.refused(place)
            raise
        self._addresses.answered(place)
        for other in [other for other in self._idle if not self._addresses.knows(other)]:
            self._leave(other)
        return link

    def _keep(self, place: Endpoint, link: Connection) -> None:
        links = self._idle[place]
        if len(links) < _IDLE_PER_PLACE and link.is_open and not self._closed:
            links.append(link)
        else:
            link.close()

    def _leave(self, place: Endpoint) -> None:
        for link in self._idle.pop(place):
            link.close()

    def _is_old(self, link: Connection) -> bool:
        return 0 < self._max_age_s < asyncio.get_running_loop().time() - link.opened
