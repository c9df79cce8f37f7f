"""Answers that leave at once: uvicorn writes the head of an answer, then its body.

Each write is a system call and, mostly, a packet, which the other side reads and parses alone.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class GatheredTransport:
    """A transport in which all that is written in one turn of the event loop goes together."""

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        """Everything else is that of the inner transport."""
        return getattr(self._inner, name)

    def write(self, data: bytes) -> None:
        """Send `data` when this turn of the loop ends."""
        if not self._written:
            self._loop.call_soon(self._flush)
        self._written.append(data)

    def close(self) -> None:
        """Close, when all that was written has been sent."""
        self._flush()
        self._inner.close()

    def _flush(self) -> None:
        if self._written and not self._inner.is_closing():
            self._inner.write(b"".join(self._written))
        self._written.clear()


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 on httptools, on such a transport."""

    def connection_made(  # type: ignore[override]  # as uvicorn has it
        self, transport: asyncio.Transport
    ) -> None:
        """A client has connected."""
        super().connection_made(cast("asyncio.Transport", GatheredTransport(transport, self.loop)))
