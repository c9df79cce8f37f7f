"""What an autoscaler was told: read from the manifests, with Kubernetes's defaults filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import yaml

from preprocess.settings import PROJECT_ROOT

_KUBERNETES = PROJECT_ROOT / "config" / "kubernetes"
_BASE = _KUBERNETES / "base"


class Unit(StrEnum):
    """What a rate is counted in."""

    PODS = "Pods"
    PERCENT = "Percent"


class Select(StrEnum):
    """Which of several rates holds: that of the greatest change, of the least, or no change."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class Rate:
    """A change by at most `value` pods or per cent within `period_s` seconds."""

    unit: Unit
    value: int
    period_s: int


@dataclass(frozen=True, slots=True)
class Direction:
    """How replicas are added, or how they are taken away."""

    window_s: int
    rates: tuple[Rate, ...]
    select: Select = Select.MAX


DEFAULT_UP = Direction(0, (Rate(Unit.PERCENT, 100, 15), Rate(Unit.PODS, 4, 15)))
DEFAULT_DOWN = Direction(300, (Rate(Unit.PERCENT, 100, 15),))


@dataclass(frozen=True, slots=True)
class Policy:
    """One autoscaler. `cpu_target` is a share of the CPU that a pod asks for; `queue_target_us` is
    microseconds of waiting per request, None where queues are not looked at.
    """

    minimum: int
    maximum: int
    cpu_target: float | None
    up: Direction = DEFAULT_UP
    down: Direction = DEFAULT_DOWN
    queue_target_us: float | None = None

    @classmethod
    def of_autoscaler(cls, document: Mapping[str, Any]) -> Self:
        """From a HorizontalPodAutoscaler of autoscaling/v2 that looks at CPU."""
        spec = document["spec"]
        (metric,) = spec["metrics"]
        return cls(
            minimum=spec["minReplicas"],
            maximum=spec["maxReplicas"],
            cpu_target=metric["resource"]["target"]["averageUtilization"] / 100,
            up=_direction(spec.get("behavior", {}).get("scaleUp", {}), DEFAULT_UP),
            down=_direction(spec.get("behavior", {}).get("scaleDown", {}), DEFAULT_DOWN),
        )

    @classmethod
    def of_scaled_object(cls, document: Mapping[str, Any]) -> Self:
        """From KEDA's ScaledObject, with a trigger for queues and one for CPU."""
        spec = document["spec"]
        triggers = {trigger["type"]: trigger["metadata"] for trigger in spec["triggers"]}
        cpu = triggers.get("cpu")
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        return cls(
            minimum=spec["minReplicaCount"],
            maximum=spec["maxReplicaCount"],
            cpu_target=float(cpu["value"]) / 100 if cpu else None,
            queue_target_us=float(triggers["prometheus"]["threshold"]),
            up=_direction(behavior.get("scaleUp", {}), DEFAULT_UP),
            down=_direction(behavior.get("scaleDown", {}), DEFAULT_DOWN),
        )

    def between(self, minimum: int, maximum: int) -> "Policy":
        """The same with other numbers of replicas."""
        return replace(self, minimum=minimum, maximum=maximum)


def shipped(part: str) -> Policy:
    """The plain autoscaler of `gateway` or `triton`."""
    return Policy.of_autoscaler(_document(_BASE / part / "autoscaler.yaml"))


def shipped_large(part: str) -> Policy:
    """That of the overlay `large`, which changes the numbers of replicas."""
    patches = yaml.safe_load_all(
        (_KUBERNETES / "overlays" / "large" / "autoscalers.yaml").read_text("utf-8")
    )
    (spec,) = (each["spec"] for each in patches if each["metadata"]["name"] == f"tezi-{part}")
    return shipped(part).between(spec["minReplicas"], spec["maxReplicas"])


def shipped_queue_time() -> Policy:
    """The one that scales Triton by its queues."""
    return Policy.of_scaled_object(
        _document(_KUBERNETES / "components" / "queue-time" / "scaled-object.yaml")
    )


def asked_cores(part: str) -> float:
    """Cores that a pod of `gateway` or `triton` asks for."""
    deployment = _document(_BASE / part / "deployment.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    text = str(container["resources"]["requests"]["cpu"])
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def _document(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def _direction(rules: Mapping[str, Any], default: Direction) -> Direction:
    rates = tuple(
        Rate(Unit(rate["type"]), rate["value"], rate["periodSeconds"])
        for rate in rules.get("policies", [])
    )
    return Direction(
        window_s=rules.get("stabilizationWindowSeconds", default.window_s),
        rates=rates or default.rates,
        select=Select(rules.get("selectPolicy", Select.MAX)),
    )
