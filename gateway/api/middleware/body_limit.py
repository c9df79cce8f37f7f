"""Rejects bodies that are too large, by their content-length and by the bytes that arrive."""

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.incoming import whole_number
from gateway.api.responses import STATUS_KEY, JSONAnswer

# After a rejection: how much more is read and discarded, so that a client that sends its whole
# body before it reads anything sees the response instead of a broken connection.
LINGER_BYTES = 64 * 1024 * 1024
LINGER_S = 2.0


class BodyTooLargeError(Exception):
    """More bytes have arrived than the limit allows."""


class BodyLimitMiddleware:
    """Responds 413 and then closes the connection."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        """`limit` is in bytes."""
        self.app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request unless its body is too large."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _content_length(scope) > self._limit:
            await self._refuse(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise BodyTooLargeError
            return message

        try:
            await self.app(scope, receive_counted, send)
        except BodyTooLargeError:
            if scope[STATUS_KEY]:
                raise
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = {"detail": f"The body is larger than {self._limit} bytes"}
        answer = JSONAnswer(detail, 413, {"connection": "close"})
        headers = answer.raw_headers
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        if not _expects_continue(scope):
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await _discard(receive)
        await send({"type": "http.response.body", "body": b""})


async def _discard(receive: Receive) -> None:
    left = LINGER_BYTES
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return whole_number(value.decode("latin-1")) or 0
    return 0


def _expects_continue(scope: Scope) -> bool:
    """Whether the client waits for "100 Continue" before its body; it gets the 413 instead."""
    return any(
        name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"]
    )
