"""What works and what does not, by component, each judged by its use."""

from collections.abc import Mapping

from gateway.api.answers import Component, Condition
from gateway.api.directory import StockDirectory
from gateway.cache.core import Core
from gateway.catalog.probe import Finding, Probe
from gateway.catalog.routing import Router
from gateway.catalog.versions import ModelCatalog
from gateway.traffic import Traffic
from preprocess.models.names import DEFAULT_VARIANT, Variant


class Health:
    """Puts together what the probes and the directory found. Asks nobody anything."""

    def __init__(
        self,
        probes: Mapping[Variant, Probe],
        *,
        directory: StockDirectory,
        versions: ModelCatalog,
        router: Router,
        traffic: Traffic,
        cache: Core,
    ) -> None:
        """Readiness rests on the default variant; the others may be absent."""
        self._probes = probes
        self._directory = directory
        self._versions = versions
        self._router = router
        self._traffic = traffic
        self._cache = cache

    def not_ready(self) -> str | None:
        """Why this process will not answer rightly now; None if it will."""
        if self._traffic.draining:
            return "the service is stopping"
        probe = self._probes[DEFAULT_VARIANT]
        return None if probe.passing else probe.state.finding.value

    def report(self) -> tuple[Condition, dict[str, Component]]:
        """The health of the whole, and of its components."""
        components = {
            "triton": self._triton(),
            "models": self._models(),
            "database": self._database(),
            "redis": self._redis(),
        }
        for variant, probe in self._probes.items():
            if variant != DEFAULT_VARIANT:
                components[variant] = _optional(variant, probe)
        worst = Condition.HEALTHY
        if any(part.status in _TROUBLE for part in components.values()):
            worst = Condition.DEGRADED
        if components["triton"].status is Condition.UNHEALTHY:
            worst = Condition.UNHEALTHY
        return worst, components

    def _triton(self) -> Component:
        probe = self._probes[DEFAULT_VARIANT]
        state = probe.state
        condition = Condition.HEALTHY if probe.passing else Condition.UNHEALTHY
        if probe.passing and state.finding is Finding.BUSY:
            condition = Condition.DEGRADED
        return Component(condition, state.finding.value, state.latency_ms, state.checked_at)

    def _models(self) -> Component:
        probe = self._probes[DEFAULT_VARIANT]
        numbers = [version.model_version for version in self._versions.published]
        if not numbers:
            return Component(Condition.UNHEALTHY, "no version is published")
        published = f"published: {', '.join(map(str, numbers))}"
        if not probe.passing:
            return Component(Condition.UNHEALTHY, f"none answers; {published}")
        serving = f"version {probe.state.model_version} serves; {published}"
        labels = self._router.labels
        if labels.candidate is not None:
            does = "shadows" if labels.shadow else "answers"
            serving = f"{serving}; {labels.candidate} {does} {labels.share:g} % of stocks"
        return Component(Condition.HEALTHY, serving, checked_at=probe.state.checked_at)

    def _database(self) -> Component:
        state = self._directory.state
        condition = Condition.HEALTHY if state.ok else Condition.DEGRADED
        return Component(condition, state.detail, state.latency_ms, state.checked_at)

    def _redis(self) -> Component:
        match self._cache.redis:
            case "none":
                return Component(Condition.ABSENT, "no Redis is configured")
            case "up":
                return Component(Condition.HEALTHY, "answers")
            case "away":
                return Component(Condition.DEGRADED, "does not answer; each process caches alone")


_TROUBLE = (Condition.DEGRADED, Condition.UNHEALTHY)


def _optional(variant: Variant, probe: Probe) -> Component:
    state = probe.state
    if state.finding is Finding.NO_GPU:
        return Component(Condition.ABSENT, "no GPU")
    if state.finding in (Finding.ABSENT, Finding.PENDING):
        name = variant.upper()
        return Component(Condition.ABSENT, f"no {name} variant is published")
    condition = Condition.HEALTHY if probe.passing else Condition.UNHEALTHY
    return Component(condition, state.finding.value, state.latency_ms, state.checked_at)
