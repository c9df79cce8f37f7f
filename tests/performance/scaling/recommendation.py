"""How many replicas a metric calls for: the algorithm of Kubernetes's documentation.

https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#algorithm-details
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

TOLERANCE = 0.1

# Arithmetic on floats: 2 x 1.5 is three pods, and not the four that a rounding error would make.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Readings:
    """What the pods of a target were seen to use, each as a multiple of the target.

    `measured`: pods that are ready and have a metric. `not_ready`: pods that start, or were not
    ready for the whole time that the metric is over. `missing`: ready, without a metric.
    """

    measured: Sequence[float]
    not_ready: int = 0
    missing: int = 0

    @property
    def pods(self) -> int:
        """All of them."""
        return len(self.measured) + self.not_ready + self.missing


def by_pods(readings: Readings, current: int, *, tolerance: float = TOLERANCE) -> int | None:
    """Replicas for a metric of each pod, such as CPU; None when no pod has it.

    Pods without a metric count as using all of the target when there would be fewer replicas, and
    nothing when there would be more; pods that are not ready count as nothing when there would be
    more. If that turns the direction round, or nearly closes the gap, nothing changes.
    """
    if not readings.measured:
        return None
    total = math.fsum(readings.measured)
    ratio = total / len(readings.measured)
    with_not_ready = readings.not_ready > 0 and ratio > 1
    if not with_not_ready and not readings.missing:
        if _near(ratio, tolerance):
            return current
        return _ceil(ratio * len(readings.measured))
    counted = len(readings.measured) + readings.missing
    total += readings.missing if ratio < 1 else 0
    counted += readings.not_ready if with_not_ready else 0
    anew = total / counted
    if _near(anew, tolerance) or (ratio < 1) != (anew < 1):
        return current
    wanted = _ceil(anew * counted)
    return max(wanted, current) if anew > 1 else min(wanted, current)


def by_value(
    value: float | None, ready: int, current: int, *, tolerance: float = TOLERANCE
) -> int | None:
    """Replicas for one metric of the whole target, as a multiple of its target; None without it."""
    if value is None:
        return None
    if _near(value, tolerance):
        return current
    return _ceil(value * ready)


def together(wanted: Sequence[int | None], current: int) -> int:
    """The greatest of what several metrics call for; with one unknown, never fewer than now."""
    known = [number for number in wanted if number is not None]
    if not known:
        return current
    most = max(known)
    return max(most, current) if len(known) < len(wanted) else most


def _near(ratio: float, tolerance: float) -> bool:
    return abs(ratio - 1) <= tolerance + _ROUNDING


def _ceil(number: float) -> int:
    return math.ceil(number - _ROUNDING)
