"""GET /live, GET /ready and GET /api/v1/health."""

import time

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Condition, HealthAnswer, LiveAnswer, NotReadyAnswer, ReadyAnswer
from gateway.api.health import Health
from gateway.api.problems import RETRY_AFTER
from gateway.api.responses import JSONAnswer


class HealthEndpoints:
    """For orchestrators, and for people who want to know more."""

    def __init__(self, health: Health, *, version: str) -> None:
        """`version` is that of the service."""
        self._health = health
        self._version = version
        self._began = time.monotonic()

    async def live(self, _: Request) -> Response:
        """200 for as long as the event loop runs."""
        return JSONAnswer(LiveAnswer(status="alive"))

    async def ready(self, _: Request) -> Response:
        """200 if predictions are answered rightly now, else 503."""
        reason = self._health.not_ready()
        if reason is None:
            return JSONAnswer(ReadyAnswer(status="ready"))
        return JSONAnswer(NotReadyAnswer(status="not ready", reason=reason), 503, RETRY_AFTER)

    async def health(self, _: Request) -> Response:
        """The state of every component; 503 if predictions are not answered rightly."""
        status, components = self._health.report()
        answer = HealthAnswer(
            status=status,
            components=components,
            version=self._version,
            uptime_s=round(time.monotonic() - self._began, 3),
        )
        if status is Condition.UNHEALTHY:
            return JSONAnswer(answer, 503, RETRY_AFTER)
        return JSONAnswer(answer)
