"""Refuses bodies that are too large, by what they say of themselves and by what arrives."""

import asyncio
from contextlib import suppress

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.responses import STATUS_KEY

# After a refusal: how much more is read and thrown away, so that a client which sends everything
# before it reads anything gets to see the answer instead of a broken connection.
LINGER_BYTES = 64 * 1024 * 1024
LINGER_S = 2.0


class BodyTooLargeError(Exception):
    """More bytes have arrived than the limit allows."""


class BodyLimitMiddleware:
    """Answers 413 and then closes the connection."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        """`limit` is in bytes."""
        self.app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request unless its body is too large."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if _announced(scope) > self._limit:
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
        body = msgspec.json.encode({"detail": f"The body is larger than {self._limit} bytes"})
        await send(
            {
                "type": "http.response.start",
                "status": 413,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", b"%d" % len(body)),
                    (b"cache-control", b"no-store"),
                    (b"x-content-type-options", b"nosniff"),
                    (b"connection", b"close"),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body, "more_body": True})
        if not _waits_for_leave(scope):
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await _throw_away(receive)
        await send({"type": "http.response.body", "body": b""})


async def _throw_away(receive: Receive) -> None:
    left = LINGER_BYTES
    while left > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:18])
    return 0


def _waits_for_leave(scope: Scope) -> bool:
    """Whether the client sends its body only when told to; it is told the answer instead."""
    return any(
        name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"]
    )
