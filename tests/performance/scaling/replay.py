"""A load curve through both tiers, and what came of it: latency, refusals, cost, lag."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.performance.scaling.curves import Curve
from tests.performance.scaling.tier import Cluster, Part, Step, Tier


@dataclass(frozen=True)
class Replay:
    """All steps of both tiers. Times in seconds, latencies in ms."""

    curve: Curve
    peak: float
    parts: tuple[Part, Part]
    steps: Sequence[tuple[Step, Step]]
    base_ms: float

    @property
    def times_s(self) -> list[float]:
        """The beginning of each step."""
        return [gateway.at_s for gateway, _ in self.steps]

    @property
    def p95_ms(self) -> list[float]:
        """Of a request, step by step: what it takes alone, and the waits of both tiers."""
        return [
            self.base_ms + (gateway.wait_p95_s + triton.wait_p95_s) * 1e3
            for gateway, triton in self.steps
        ]

    @property
    def refused_share(self) -> float:
        """Of all requests, those that were answered 503."""
        offered = sum(gateway.offered for gateway, _ in self.steps)
        return sum(gateway.refused + triton.refused for gateway, triton in self.steps) / offered

    def late_s(self, goal_ms: float) -> float:
        """Seconds in which the 95th percentile was above `goal_ms`, or requests were refused."""
        late = sum(
            p95 > goal_ms or gateway.refused + triton.refused > 0
            for p95, (gateway, triton) in zip(self.p95_ms, self.steps, strict=True)
        )
        return float(late * self.curve.step_s)

    @property
    def worst_p95_ms(self) -> float:
        """The greatest 95th percentile of a step, without those of the first minute."""
        settled = [p95 for when, p95 in zip(self.times_s, self.p95_ms, strict=True) if when >= 60]
        return max(settled)

    @property
    def most_replicas(self) -> tuple[int, int]:
        """Of each tier."""
        return (
            max(gateway.replicas for gateway, _ in self.steps),
            max(triton.replicas for _, triton in self.steps),
        )

    @property
    def changes(self) -> int:
        """How often the number of replicas was changed, in both tiers."""
        replicas = np.array([(gateway.replicas, triton.replicas) for gateway, triton in self.steps])
        return int((np.diff(replicas, axis=0) != 0).sum())

    @property
    def core_hours(self) -> float:
        """Cores that pods asked for, or used where that was more, over time."""
        cores = sum(
            step.replicas * max(part.asked_cores, step.busy * part.cores)
            for both in self.steps
            for part, step in zip(self.parts, both, strict=True)
        )
        return cores * self.curve.step_s / 3600

    @property
    def static_core_hours(self) -> float:
        """The same for a cluster of fixed size, which takes the peak with cores busy to 70 %."""
        cores = sum(fixed_replicas(part, self.peak) * part.cores for part in self.parts)
        return cores * self.curve.length_s / 3600


def fixed_replicas(part: Part, rate: float) -> int:
    """Pods that take `rate` requests a second at 70 % of what they can use."""
    return max(2, int(np.ceil(rate * part.cpu_ms / 1e3 / (0.7 * part.cores))))


def replay(
    curve: Curve, peak: float, parts: tuple[Part, Part], cluster: Cluster, *, base_ms: float
) -> Replay:
    """Gateway and Triton, one behind the other: Triton gets what the gateways pass on.

    `peak` requests a second at the most; `base_ms` is what a request takes when nobody waits.
    """
    gateway, triton = (Tier(part, cluster) for part in parts)
    steps = []
    seconds = float(curve.step_s)
    for number in range(curve.length_s // curve.step_s):
        now_s = number * seconds
        first = gateway.step(now_s, seconds, curve.share(now_s) * peak)
        second = triton.step(now_s, seconds, first.served)
        steps.append((first, second))
    return Replay(curve, peak, parts, steps, base_ms)
