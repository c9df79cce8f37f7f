"""A pool of connections to the servers behind one name."""

import asyncio
from collections import defaultdict

from gateway.triton.http.addresses import Addresses, Endpoint
from gateway.triton.http.connection import Connection, Reply

# Usually one request is in flight, plus a few golden rows.
_IDLE_PER_ENDPOINT = 4
# A dead machine never answers: others are tried before the caller's deadline.
_CONNECT_S = 0.5


class ConnectionPool:
    """Sends requests to the servers in rotation, over connections that stay open.

    A connection older than `max_age_s` (0: no limit) is closed after its response. So one that runs
    through a proxy or a shared address reaches another server in time.
    """

    def __init__(self, addresses: Addresses, *, max_age_s: float = 0.0) -> None:
        self._addresses = addresses
        self._max_age_s = max_age_s
        self._idle: defaultdict[Endpoint, list[Connection]] = defaultdict(list)
        self._closed = False

    async def request(self, message: bytes) -> Reply:
        """The response of the next server in rotation that can be reached.

        Raises:
            OSError: none can be reached, or the connection ended before the response did.
        """
        refusals: list[str] = []
        for endpoint in await self._addresses.in_turn():
            try:
                connection = self._reuse(endpoint) or await self._open(endpoint)
            except OSError as error:
                refusals.append(f"{endpoint[0]}:{endpoint[1]}: {error or type(error).__name__}")
                continue
            try:
                reply = await connection.request(message)
            except ConnectionError:
                self._addresses.failed(endpoint)
                raise
            self._release(endpoint, connection)
            return reply
        raise ConnectionError("; ".join(refusals))

    async def close(self) -> None:
        """Close idle connections now, and the others once their response has arrived."""
        self._closed = True
        await self._addresses.close()
        for endpoint in list(self._idle):
            self._close_idle(endpoint)

    def _reuse(self, endpoint: Endpoint) -> Connection | None:
        idle = self._idle[endpoint]
        while idle:
            connection = idle.pop()
            if connection.is_open and not self._is_old(connection):
                return connection
            connection.close()
        return None

    async def _open(self, endpoint: Endpoint) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, connection = await loop.create_connection(Connection, *endpoint)
        except OSError:  # TimeoutError is one
            self._addresses.failed(endpoint)
            raise
        self._addresses.connected(endpoint)
        for other in [other for other in self._idle if not self._addresses.knows(other)]:
            self._close_idle(other)
        return connection

    def _release(self, endpoint: Endpoint, connection: Connection) -> None:
        idle = self._idle[endpoint]
        if len(idle) < _IDLE_PER_ENDPOINT and connection.is_open and not self._closed:
            idle.append(connection)
        else:
            connection.close()

    def _close_idle(self, endpoint: Endpoint) -> None:
        for connection in self._idle.pop(endpoint):
            connection.close()

    def _is_old(self, connection: Connection) -> bool:
        return 0 < self._max_age_s < asyncio.get_running_loop().time() - connection.opened
