"""One keep-alive connection to a REST service, one request at a time.

A client library takes more processor time for a request than the service that is measured; this
takes a tenth of it, and is only for services that state the length of their answers.
"""

import asyncio
from typing import cast
from urllib.parse import urlsplit

_TIMEOUT_S = 30.0
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"
_LAST = b"\r\nconnection: close"


class RestConnection(asyncio.Protocol):
    """`await RestConnection.open(url)`, then `post` as often as is wanted, then `close`."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    @classmethod
    async def open(cls, url: str) -> "RestConnection":
        """Connect to the host and port of a URL."""
        address = urlsplit(url)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: cls(address.netloc), address.hostname or "", address.port or 80
        )
        return connection

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer to a JSON document.

        Raises:
            ConnectionError: the service hung up, or does not say how long its answer is.
            TimeoutError: no answer within half a minute.
        """
        answer = self.send(path, body)
        async with asyncio.timeout(_TIMEOUT_S):
            return await answer

    def send(self, path: str, body: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        """The same at once, without a task: the answer to come, or the ConnectionError.

        Raises:
            ConnectionError: the service has hung up before.
        """
        if self._transport is None or not self.is_open:
            raise ConnectionError(f"{self._host} has hung up")
        self._received = b""
        self._answer = asyncio.get_running_loop().create_future()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        return self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        """Called by the event loop: an answer is whole when its stated length is there."""
        self._received += data
        head, end, body = self._received.partition(_END_OF_HEAD)
        if not end or self._answer is None or self._answer.done():
            return
        length = _stated_length(head)
        if length is None:
            self._answer.set_exception(ConnectionError(f"an answer without a length: {head!r}"))
        elif len(body) >= length:
            if _LAST in head.lower() and self._transport is not None:
                self._transport.close()
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"{self._host} hung up: {exc}"))


def _stated_length(head: bytes) -> int | None:
    for line in head.split(b"\r\n"):
        if line[: len(_LENGTH)].lower() == _LENGTH:
            return int(line[len(_LENGTH) :])
    return None
