"""Counts, times and logs every request."""

import logging
import time

import structlog
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.responses import REASON_KEY, STATUS_KEY
from gateway.metrics import Metrics
from gateway.traffic import Traffic

log = structlog.get_logger()

_UNMATCHED = "unmatched"
_LONGEST_PATH = 200

# Polled every second by orchestrators; the probe itself logs when readiness changes.
_POLLED = frozenset({"/live", "/ready"})


class AccessMiddleware:
    """One metric and one log line per request; closes clients' connections while draining."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, traffic: Traffic, log_successes: bool
    ) -> None:
        """Without `log_successes` only responses from 400 up are logged."""
        self.app = app
        self._metrics = metrics
        self._traffic = traffic
        self._log_from = 0 if log_successes else 400

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request, then count and log it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        side = self._traffic.enter()
        try:
            await self.app(scope, receive, _closing(send) if self._traffic.draining else send)
        finally:
            self._traffic.leave(side)
            seconds = time.perf_counter() - began
            status = scope[STATUS_KEY]
            route = scope.get("route")
            template = route.path if isinstance(route, Route) else _UNMATCHED
            self._metrics.request(scope["method"], template, status, seconds)
            if status >= self._log_from and template not in _POLLED:
                _log(scope, status, seconds)


def _log(scope: Scope, status: int, seconds: float) -> None:
    level = logging.DEBUG if status < 400 else logging.INFO
    log.log(
        logging.WARNING if status >= 500 else level,
        "request",
        method=scope["method"],
        path=scope["path"][:_LONGEST_PATH],
        status=status,
        ms=round(seconds * 1e3, 3),
        client=(scope.get("client") or ("",))[0],
        reason=scope.get(REASON_KEY),
    )


def _closing(send: Send) -> Send:
    """Tell the client to close this connection."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await send(message)

    return send_closing
