"""Turns unexpected errors into a response without details, and into a log line with them."""

import asyncio

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.problems import RETRY_AFTER
from gateway.api.responses import STATUS_KEY, JSONAnswer
from gateway.traffic import Traffic

log = structlog.get_logger()


class UnexpectedErrorMiddleware:
    """Responds 500 to an exception, and 503 to requests that the process's shutdown cancels."""

    def __init__(self, app: ASGIApp, *, traffic: Traffic) -> None:
        self.app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if scope[STATUS_KEY] or not self._traffic.draining:
                raise
            detail = {"detail": "The service is stopping; try again"}
            await JSONAnswer(detail, 503, RETRY_AFTER)(scope, receive, send)
        except Exception:
            log.exception("unexpected error", method=scope["method"], path=scope["path"][:200])
            if scope[STATUS_KEY]:
                raise  # part of the response has been sent: the server drops the connection
            await JSONAnswer({"detail": "internal error"}, 500)(scope, receive, send)
