"""Gives every request an id, and every response that id and the time it took."""

import os
import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.responses import STATUS_KEY
from gateway.logs import REQUEST_ID

_ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class RequestIdMiddleware:
    """Keeps a caller's X-Request-ID if it is harmless, else generates one. Outermost of all."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request with the id bound to its log lines."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = _id_of(scope)
        REQUEST_ID.set(request_id.decode())
        scope[STATUS_KEY] = 0

        async def send_stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope[STATUS_KEY] = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id),
                    (b"x-process-time", b"%.6f" % (time.perf_counter() - began)),
                ]
            await send(message)

        await self.app(scope, receive, send_stamped)


def _id_of(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ACCEPTED.fullmatch(value):
            return bytes(value)
    return os.urandom(16).hex().encode()
