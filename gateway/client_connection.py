"""A client's connection: uvicorn's HTTP/1.1 with fewer writes, and bounds for strangers."""

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Of a request's line and headers, of trailers, and of what stands between the chunks of a body.
HEAD_BYTES = 65_536
HEAD_S = 10.0
BODY_S = 65.0  # longer than the longest deadline of a prediction
# A response of 1.4 MB, our largest, takes so long at 23 KB/s.
RESPONSE_S = 60.0

# Connections for this machine beyond the limit: `tezi up` restarts a gateway that it cannot reach.
RESERVED = 32


def _refusal(status: str, detail: str) -> bytes:
    body = f'{{"detail":"{detail}"}}'
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
    ).encode()


_TOO_LARGE = _refusal("431 Request Header Fields Too Large", "The headers are too large")


class GatheredTransport:
    """A transport that sends everything written in one turn of the event loop in one piece.

    uvicorn writes head and body of a response one after the other. Each write is a system call and
    usually a packet, which the client reads and parses separately.
    """

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        """Everything else is delegated to the inner transport."""
        return getattr(self._inner, name)

    def write(self, data: bytes) -> None:
        """Send `data` at the end of this turn of the loop."""
        if not self._written:
            self._loop.call_soon(self._flush)
        self._written.append(data)

    def close(self) -> None:
        """Send what has been written, then close."""
        self._flush()
        self._inner.close()

    def _flush(self) -> None:
        if self._written and not self._inner.is_closing():
            self._inner.write(b"".join(self._written))
        self._written.clear()


class ClientConnection(HttpToolsProtocol):
    """uvicorn's protocol (httptools) on a gathered transport.

    It closes connections that send too large a head, or take too long to send a request or to
    read a response. Whoever offers another protocol (`Upgrade: h2c`) is answered in HTTP/1.1.
    """

    def connection_made(  # type: ignore[override]  # as uvicorn has it
        self, transport: asyncio.Transport
    ) -> None:
        """A client has connected. Beyond uvicorn's limit, at which it answers 503, it is left."""
        super().connection_made(cast("asyncio.Transport", GatheredTransport(transport, self.loop)))
        self._unparsed = 0
        self._in_head = True
        self._began: float | None = self.loop.time()
        self._unread_since: float | None = None
        if self.limit_concurrency is not None:
            if self.client is not None and self.client[0] in ("127.0.0.1", "::1"):
                self.limit_concurrency += RESERVED
            if len(self.connections) > self.limit_concurrency:
                transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse a part of a request."""
        self._unset_keepalive_if_required()
        if self._began is None:
            self._began = self.loop.time()
        self._unparsed += len(data)
        self._feed(data)
        if self._unparsed > HEAD_BYTES and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
            else:
                self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request; `msg` needs no quoting in JSON."""
        self.transport.write(_refusal("400 Bad Request", msg))
        self.transport.close()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if self.parser.get_method() == b"CONNECT":
                self.send_400_response("This is not a proxy")
            else:
                self._feed(self._without_offer() + data[offer.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("The request is malformed")

    def _without_offer(self) -> bytes:
        """The head that was read, without `Upgrade`, for a parser of its own.

        The parser takes what follows an offer for another protocol's, and would lose the body.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % line for line in self.headers if line[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        return b"\r\n".join([*lines, b"", b""])

    def on_headers_complete(self) -> None:
        """Start the request, unless it is parsed once more without its offer of an upgrade."""
        if not self.parser.should_upgrade():
            self._unparsed, self._in_head = 0, False
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body, which the application limits."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        if not self.parser.should_upgrade():
            self._unparsed, self._in_head, self._began = 0, True, None
            super().on_message_complete()

    def close_if_overdue(self, now: float) -> None:
        """Close the connection if its client is too slow; `now` is the event loop's time."""
        if self._began is not None and now - self._began > (HEAD_S if self._in_head else BODY_S):
            self.transport.abort()
        elif not self.transport.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > RESPONSE_S:
            self.transport.abort()
