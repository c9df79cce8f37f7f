"""Counts, times and logs every request."""

import logging
import time

import structlog
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import Metrics
from gateway.traffic import Traffic

log = structlog.get_logger()

_UNMATCHED = "unmatched"
_LONGEST_PATH = 200


class AccessMiddleware:
    """One metric and one log line a request; asks clients to move on while draining."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, traffic: Traffic) -> None:
        self.app = app
        self._metrics = metrics
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request and tell of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._traffic.draining:
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        side = self._traffic.enter()
        try:
            await self.app(scope, receive, send_noted)
        finally:
            self._traffic.leave(side)
            self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        template = route.path if isinstance(route, Route) else _UNMATCHED
        self._metrics.request(scope["method"], template, status, seconds)
        level = logging.DEBUG if status < 400 else logging.INFO
        log.log(
            logging.WARNING if status >= 500 else level,
            "request",
            method=scope["method"],
            path=scope["path"][:_LONGEST_PATH],
            status=status,
            ms=round(seconds * 1e3, 3),
            client=(scope.get("client") or ("",))[0],
        )
