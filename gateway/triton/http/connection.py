"""One connection to an HTTP/1.1 server, with one question under way at a time."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import httptools

# More than any answer to as many rows as a gateway sends at once.
_LARGEST_BODY = 32 * 1024 * 1024


class ProtocolError(ConnectionError):
    """What came is no answer to the question. The connection is closed."""


@dataclass(slots=True)
class Reply:
    """An answer: header names in lower case."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


class Connection(asyncio.Protocol):
    """The connection. One that is lost, or whose answer nobody waited for, is not used again."""

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
        """Whether a question can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def request(self, message: bytes) -> Reply:
        """Send a whole request, and wait for its answer.

        Raises:
            ProtocolError: something else came.
            ConnectionError: the connection ended before the answer did.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the connection is closed")
        self._future = self._create_future()
        try:
            self._transport.write(message)
            return await self._future
        except BaseException:
            self.close()  # an answer that comes late is nobody's
            raise
        finally:
            self._future = None

    def close(self) -> None:
        """Let go of the connection."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """A piece of an answer has come."""
        if self._future is None:
            self.close()  # nobody has asked
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
            self._fail(ProtocolError(f"no HTTP answer: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._fail(ConnectionError(f"the connection ended: {exc or 'closed by the server'}"))

    # What httptools calls.

    def on_message_begin(self) -> None:
        """An answer begins."""
        self._reply = Reply()
        self._parts = []
        self._size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, whole."""
        self._reply.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._size += len(body)
        if self._size > _LARGEST_BODY:
            self._fail(ProtocolError(f"an answer of more than {_LARGEST_BODY} bytes"))
            return
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self._reply.status = self._parser.get_status_code()
        self._reply.body = b"".join(self._parts)
        if self._future is None or self._future.done():
            self.close()  # a second answer to one question
            return
        self._future.set_result(self._reply)
        if not self._parser.should_keep_alive():
            self.close()

    def _fail(self, error: ConnectionError) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_exception(error)
        self.close()
