"""One connection to an HTTP/1.1 server, with one request in flight at a time."""

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

import httptools

# Larger than any response to the most rows that a gateway sends at once.
_LARGEST_BODY = 32 * 1024 * 1024

# Statuses below are interim; a plain number, as enumerations compare slowly.
_FIRST_FINAL = 200


class ProtocolError(ConnectionError):
    """What arrived is not a response to the request. The connection is closed."""


@dataclass(slots=True)
class Reply:
    """A response; header names are in lower case."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


class Connection(asyncio.Protocol):
    """The connection. After an error, a timeout or a cancelled request it is not used again."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Reply] | None = None
        self._create_future = loop.create_future
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._reply = Reply()
        self._parts: list[bytes] = []
        self._size = 0
        self.opened = loop.time()

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def request(self, message: bytes) -> Reply:
        """Send a complete request, and wait for its response.

        Raises:
            ProtocolError: something other than a response arrived.
            ConnectionError: the connection ended before the response did.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the connection is closed")
        self._future = self._create_future()
        try:
            self._transport.write(message)
            return await self._future
        except BaseException:
            self.close()  # a late response must not be taken for that of the next request
            raise
        finally:
            self._future = None

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is established."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Part of a response has arrived."""
        if self._future is None:
            self.close()  # there is no request in flight
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
            self._fail(ProtocolError(f"not an HTTP response: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._fail(ConnectionError(f"the connection ended: {exc or 'closed by the server'}"))

    # Called by httptools.

    def on_message_begin(self) -> None:
        """A response begins."""
        if self._future is None or self._future.done():
            self.close()  # of a second one to one request: it must not answer the next request
        self._reply = Reply()
        self._parts = []
        self._size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One complete header."""
        self._reply.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        self._size += len(body)
        if self._size > _LARGEST_BODY:
            self._fail(ProtocolError(f"a response of more than {_LARGEST_BODY} bytes"))
            return
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """The response is complete."""
        status = self._parser.get_status_code()
        if status < _FIRST_FINAL:
            if status == HTTPStatus.SWITCHING_PROTOCOLS:
                self._fail(ProtocolError("the server speaks another protocol from here on"))
            return  # an interim response: the one to the request follows
        self._reply.status = status
        self._reply.body = b"".join(self._parts)
        if self._future is None or self._future.done():
            self.close()  # a second response to one request
            return
        self._future.set_result(self._reply)
        if not self._parser.should_keep_alive():
            self.close()

    def _fail(self, error: ConnectionError) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_exception(error)
        self.close()
