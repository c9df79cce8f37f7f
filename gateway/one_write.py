"""Sends head and body of a response together, which uvicorn writes one after the other.

Each write is a system call and usually a packet, which the client reads and parses separately.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class GatheredTransport:
    """A transport that sends everything written in one turn of the event loop in one piece."""

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


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol (httptools) on a gathered transport."""

    def connection_made(  # type: ignore[override]  # as uvicorn has it
        self, transport: asyncio.Transport
    ) -> None:
        """A client has connected."""
        super().connection_made(cast("asyncio.Transport", GatheredTransport(transport, self.loop)))
