"""GET /live, GET /ready and GET /api/v1/health, from what the probes and the directory found."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import (
    Component,
    Condition,
    HealthAnswer,
    LiveAnswer,
    NotReadyAnswer,
    ReadyAnswer,
)
from gateway.api.directory import StockDirectory
from gateway.api.problems import RETRY_AFTER
from gateway.api.responses import JSONAnswer
from gateway.cache.core import Core
from gateway.catalog.probe import Finding, Probe
from gateway.catalog.routing import Router
from gateway.catalog.versions import ModelCatalog
from gateway.traffic import Traffic
from preprocess.models.names import DEFAULT_VARIANT, Variant

_REDIS = {
    "none": Component(Condition.ABSENT, "no Redis is configured"),
    "up": Component(Condition.HEALTHY, "answers"),
    "away": Component(Condition.DEGRADED, "does not answer; each process caches alone"),
}


_NO_ANSWER = (Finding.FAILED, Finding.LATE, Finding.BUSY)


@dataclass(frozen=True, kw_only=True)
class Health:
    """The health of each component, judged by its latest use. A request checks nothing itself.

    Readiness depends on the default variant; the others may be absent. `version` is that of the
    service, `started` the monotonic time at which it started, in seconds.
    """

    probes: Mapping[Variant, Probe]
    directory: StockDirectory
    versions: ModelCatalog
    router: Router
    traffic: Traffic
    cache: Core
    version: str
    started: float = field(default_factory=time.monotonic)

    def not_ready(self) -> str | None:
        """Why this process cannot answer correctly now; None if it can."""
        if self.traffic.draining:
            return "the service is stopping"
        probe = self.probes[DEFAULT_VARIANT]
        return None if probe.passing else probe.state.finding.value

    async def live(self, _: Request) -> Response:
        """200 for as long as the event loop runs."""
        return JSONAnswer(LiveAnswer(status="alive"))

    async def ready(self, _: Request) -> Response:
        """200 if predictions are answered correctly now, else 503."""
        reason = self.not_ready()
        if reason is None:
            return JSONAnswer(ReadyAnswer(status="ready"))
        return JSONAnswer(NotReadyAnswer(status="not ready", reason=reason), 503, RETRY_AFTER)

    async def health(self, _: Request) -> Response:
        """The state of every component; 503 if predictions are not answered correctly."""
        components = {
            "triton": self._triton(),
            "models": self._models(),
            "database": self.directory.state,
            "redis": _REDIS[self.cache.redis],
        }
        for variant, probe in self.probes.items():
            if variant != DEFAULT_VARIANT:
                components[variant] = _optional(variant, probe)
        status = Condition.HEALTHY
        if components["triton"].status is Condition.UNHEALTHY:
            status = Condition.UNHEALTHY
        elif any(
            component.status in (Condition.DEGRADED, Condition.UNHEALTHY)
            for component in components.values()
        ):
            status = Condition.DEGRADED
        answer = HealthAnswer(
            status=status,
            components=components,
            version=self.version,
            uptime_s=round(time.monotonic() - self.started, 3),
        )
        if status is Condition.UNHEALTHY:
            return JSONAnswer(answer, 503, RETRY_AFTER)
        return JSONAnswer(answer)

    def _triton(self) -> Component:
        probe = self.probes[DEFAULT_VARIANT]
        if probe.passing and probe.state.finding is Finding.BUSY:
            return _probed(probe, Condition.DEGRADED)
        return _probed(probe)

    def _models(self) -> Component:
        probe = self.probes[DEFAULT_VARIANT]
        numbers = [version.model_version for version in self.versions.published]
        if not numbers:
            return Component(Condition.UNHEALTHY, "no version is published")
        published = f"published: {', '.join(map(str, numbers))}"
        if not probe.passing:
            return Component(Condition.UNHEALTHY, f"none answers; {published}")
        serving = f"version {probe.state.model_version} serves; {published}"
        labels = self.router.labels
        if labels.candidate is not None:
            does = "shadows" if labels.shadow else "answers"
            serving = f"{serving}; {labels.candidate} {does} {labels.share:g} % of stocks"
        return Component(Condition.HEALTHY, serving, checked_at=probe.state.checked_at)


def _optional(variant: Variant, probe: Probe) -> Component:
    """A variant whose absence is not a fault."""
    finding = probe.state.finding
    if finding is Finding.NO_GPU or (probe.without_gpu and finding in _NO_ANSWER):
        return Component(Condition.ABSENT, "no GPU")
    if finding in (Finding.ABSENT, Finding.PENDING):
        return Component(Condition.ABSENT, f"no {variant.upper()} variant is published")
    return _probed(probe)


def _probed(probe: Probe, status: Condition | None = None) -> Component:
    """`status` None: healthy if the probe passes, else unhealthy."""
    state = probe.state
    if status is None:
        status = Condition.HEALTHY if probe.passing else Condition.UNHEALTHY
    return Component(status, state.finding.value, state.latency_ms, state.checked_at)
