"""GET /live, GET /ready and GET /api/v1/health."""

import time

from starlette.requests import Request
from starlette.responses import Response

from gateway.health import Condition, Health
from gateway.problems import RETRY_AFTER
from gateway.responses import JSONAnswer


class HealthEndpoints:
    """For orchestrators, and for people who want to know more."""

    def __init__(self, health: Health, *, version: str) -> None:
        """`version` is that of the service."""
        self._health = health
        self._version = version
        self._began = time.monotonic()

    async def live(self, _: Request) -> Response:
        """200 for as long as the event loop runs."""
        return JSONAnswer({"status": "alive"})

    async def ready(self, _: Request) -> Response:
        """200 if predictions are answered rightly now, else 503."""
        reason = self._health.not_ready()
        if reason is None:
            return JSONAnswer({"status": "ready"})
        return JSONAnswer({"status": "not ready", "reason": reason}, 503, RETRY_AFTER)

    async def health(self, _: Request) -> Response:
        """The state of every component; 503 if predictions are not answered rightly."""
        report = self._health.report()
        unhealthy = report.status is Condition.UNHEALTHY
        document = {
            "status": report.status,
            "components": report.components,
            "version": self._version,
            "uptime_s": round(time.monotonic() - self._began, 3),
        }
        return JSONAnswer(document, 503 if unhealthy else 200, RETRY_AFTER if unhealthy else None)
