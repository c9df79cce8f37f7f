"""Load through the autoscalers of config/kubernetes, second by second.

https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#algorithm-details
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import yaml

from preprocess.market.values import Floats
from tests.paths import PROJECT_ROOT

GOAL_MS = 50.0
BASE_MS = 2.03
"""What a request takes alone: REST, one at a time, by the benchmark serve."""

_LAG_S, _OVER_S, _SYNC_S = 15.0, 30.0, 15.0  # a metric's age, what it is over, between two looks
_TOLERANCE = 0.1
_WAITING = 256  # requests that a pod holds back before it refuses more
_QUIET = 0.05
_LEAD_S, _RAMP_S, _RISE_S, _HIGH_S = 300.0, 600.0, 30.0, 1_200.0
_KUBERNETES = PROJECT_ROOT / "config" / "kubernetes"


@dataclass(frozen=True)
class Direction:
    """How replicas change: after a window in seconds, by rates of (unit, value, period in s)."""

    window_s: float
    rates: Sequence[tuple[str, int, float]]

    @classmethod
    def of(cls, rules: Mapping[str, Any]) -> "Direction":
        """From scaleUp or scaleDown of a HorizontalPodAutoscaler."""
        rates = [(rate["type"], rate["value"], rate["periodSeconds"]) for rate in rules["policies"]]
        return cls(rules["stabilizationWindowSeconds"], rates)


@dataclass(frozen=True)
class Part:
    """One deployment. `target` is a share of the cores that a pod asks for; it can use `cores`."""

    cpu_ms: float
    cores: int
    requested: float
    start_s: float
    minimum: int
    maximum: int
    target: float
    up: Direction
    down: Direction


def shipped(cpu_ms: Sequence[float], *, overlay: str = "") -> list[Part]:
    """Gateway and Triton as config/kubernetes has them, with the numbers of an overlay."""
    parts = []
    for name, cost_ms, cores, start_s in (
        ("gateway", cpu_ms[0], 1, 15.0),
        ("triton", cpu_ms[1], 2, 45.0),
    ):
        base = _KUBERNETES / "base" / name
        spec = yaml.safe_load((base / "autoscaler.yaml").read_text("utf-8"))["spec"]
        pod = yaml.safe_load((base / "deployment.yaml").read_text("utf-8"))["spec"]["template"]
        requested = str(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"])
        numbers = spec
        if overlay:
            file = _KUBERNETES / "overlays" / overlay / "autoscalers.yaml"
            patches = yaml.safe_load_all(file.read_text("utf-8"))
            (numbers,) = (p["spec"] for p in patches if p["metadata"]["name"] == f"tezi-{name}")
        parts.append(
            Part(
                cost_ms,
                cores,
                float(requested[:-1]) / 1000 if requested.endswith("m") else float(requested),
                start_s,
                numbers["minReplicas"],
                numbers["maxReplicas"],
                spec["metrics"][0]["resource"]["target"]["averageUtilization"] / 100,
                Direction.of(spec["behavior"]["scaleUp"]),
                Direction.of(spec["behavior"]["scaleDown"]),
            )
        )
    return parts


def recommended(use: float, ready: int, starting: int) -> int:
    """Replicas for pods that use `use` times their target; pods that start count as idle."""
    current = ready + starting
    if use <= 1 or not starting:
        return current if abs(use - 1) <= _TOLERANCE + 1e-9 else math.ceil(use * ready - 1e-9)
    ratio = use * ready / current
    return current if ratio <= 1 + _TOLERANCE else max(current, math.ceil(use * ready - 1e-9))


@dataclass
class Autoscaler:
    """Stabilisation windows, then rates: how fast a recommendation is followed."""

    part: Part
    wanted: deque[tuple[float, int]] = field(default_factory=deque)
    changes: list[tuple[float, int]] = field(default_factory=list)

    def follow(self, now_s: float, current: int, recommendation: int) -> int:
        """The number of replicas from now on."""
        up, down = self.part.up, self.part.down
        self.wanted.append((now_s, recommendation if self.wanted else current))
        while self.wanted[0][0] < now_s - max(up.window_s, down.window_s):
            self.wanted.popleft()
        # More only if that was recommended all the time, and fewer likewise.
        least = min([n for at, n in self.wanted if at > now_s - up.window_s] + [recommendation])
        most = max([n for at, n in self.wanted if at > now_s - down.window_s] + [recommendation])
        stable = min(max(current, least), most)
        if stable > current:
            after = min(stable, max(self._reached(now_s, current, up, +1), current))
        elif stable < current:
            after = max(stable, min(self._reached(now_s, current, down, -1), current))
        else:
            after = current
        after = min(max(after, self.part.minimum), self.part.maximum)
        if after != current:
            self.changes.append((now_s, after - current))
        return after

    def _reached(self, now_s: float, current: int, direction: Direction, sign: int) -> int:
        """The furthest that any of the rates allows."""
        reached = []
        for unit, value, period_s in direction.rates:
            start = current - sum(n for at, n in self.changes if at > now_s - period_s)
            share = start * (100 + sign * value) / 100
            rounded = math.ceil(share) if sign > 0 else int(share)
            reached.append(start + sign * value if unit == "Pods" else rounded)
        return max(reached) if sign > 0 else min(reached)


def wait_p95_s(arrivals: float, service_s: float, cores: int) -> float:
    """95th percentile of the wait by Erlang's C formula: Poisson arrivals, exponential service."""
    load = arrivals * service_s
    blocked = 1.0
    for busy in range(1, cores + 1):
        blocked = load * blocked / (busy + load * blocked)
    waits = blocked / (1 - load / cores * (1 - blocked))
    return math.log(waits / 0.05) * service_s / (cores - load) if waits > 0.05 else 0.0


class Tier:
    """The pods of one part, which share the load evenly, and their autoscaler."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.ready_at = [-1e9] * part.minimum
        self._autoscaler = Autoscaler(part)
        self._used: deque[tuple[float, float]] = deque()
        self._backlog = self._sync_s = 0.0

    def step(self, now_s: float, seconds: float, offered: float) -> tuple[float, float, float, int]:
        """Served and refused a second, the 95th percentile of the wait in s, and replicas."""
        part, service_s, pods = self.part, self.part.cpu_ms / 1e3, len(self.ready_at)
        ready = sum(when <= now_s for when in self.ready_at)
        work = self._backlog / seconds + offered
        served = min(work, ready * part.cores / service_s)
        left = (work - served) * seconds
        self._backlog = min(left, float(ready * _WAITING))
        wait = self._backlog * service_s / (ready * part.cores)
        if not self._backlog:
            # Just below all that pods can do a steady state is never reached within a step.
            arrivals = min(served / ready, 0.995 * part.cores / service_s)
            wait = wait_p95_s(arrivals, service_s, part.cores)
        self._used.append((now_s, served * service_s / ready))
        if now_s >= self._sync_s:
            self._sync_s += _SYNC_S
            self._sync(now_s)
        return served, (left - self._backlog) / seconds, wait, pods

    def _sync(self, now_s: float) -> None:
        current, oldest = len(self.ready_at), now_s - _LAG_S - _OVER_S
        while self._used[0][0] < oldest:
            self._used.popleft()
        window = [used for at, used in self._used if at <= now_s - _LAG_S]
        wanted = current
        if window:
            use = sum(window) / len(window) / (self.part.requested * self.part.target)
            whole = sum(when <= oldest for when in self.ready_at)
            wanted = recommended(use, whole, current - whole)
        after = self._autoscaler.follow(now_s, current, wanted)
        self.ready_at += [now_s + self.part.start_s] * (after - current)
        self.ready_at = sorted(self.ready_at)[:after]  # pods that are not ready go first


@dataclass(frozen=True)
class Curve:
    """`share(t)` of the peak at second t of `length_s`."""

    name: str
    length_s: int
    step_s: int
    share: Callable[[float], float]


def _ramp(t: float) -> float:
    return min(1.0, max(_QUIET, _QUIET + (1 - _QUIET) * (t - _LEAD_S) / _RAMP_S))


def _spike(t: float) -> float:
    if not _LEAD_S <= t < _LEAD_S + _HIGH_S:
        return _QUIET
    return min(1.0, _QUIET + (1 - _QUIET) * (t - _LEAD_S) / _RISE_S)


def _day_shape(t: float) -> float:
    """From 08:30 to 22:30 in Mumbai: open, close, bursts of results, and the day's prices."""
    hour, shape = 8.5 + t / 3600, _QUIET
    for centre, width, height in (
        (9.35, 0.25, 0.30), (12.5, 2.5, 0.10), (15.4, 0.35, 0.35), (17.5, 1.2, 0.25),
        (19.75, 0.45, 0.60),
    ):  # fmt: skip
        shape += height * math.exp(-(((hour - centre) / width) ** 2) / 2)
    for burst in (16.75, 18.1, 19.55):
        since = (hour - burst) * 60
        if 0 <= since < 20:
            shape += 0.25 * min(1.0, since) * math.exp(-max(0.0, since - 1) / 6)
    return shape


_DAY_S = 14 * 3600
_DAY_MOST = max(_day_shape(t) for t in range(0, _DAY_S, 5))
RAMP = Curve("ramp", 1_800, 1, _ramp)
SPIKE = Curve("spike", 2_700, 1, _spike)
DAY = Curve("trading day", _DAY_S, 5, lambda t: min(1.0, _day_shape(t) / _DAY_MOST))


@dataclass(frozen=True)
class Replay:
    """What came of a load: for each step rates a second, ms and pods, float64 [steps]."""

    curve: Curve
    offered: Floats
    refused: Floats
    p95_ms: Floats
    pods: Floats
    core_hours: float
    fixed_core_hours: float

    @property
    def late_s(self) -> float:
        """Seconds in which the 95th percentile was above the goal, or requests were refused."""
        return float(((self.p95_ms > GOAL_MS) | (self.refused > 0)).sum() * self.curve.step_s)


def replay(curve: Curve, peak: float, parts: Sequence[Part]) -> Replay:
    """Gateway and Triton, one behind the other: Triton gets what the gateways pass on."""
    tiers, seconds, steps, cores = [Tier(part) for part in parts], float(curve.step_s), [], 0.0
    for now_s in range(0, curve.length_s, curve.step_s):
        offered = rate = curve.share(now_s) * peak
        refused, p95_ms, pods = 0.0, BASE_MS, []
        for tier in tiers:
            part = tier.part
            ready = sum(when <= now_s for when in tier.ready_at)
            rate, lost, wait_s, replicas = tier.step(float(now_s), seconds, rate)
            refused, p95_ms = refused + lost, p95_ms + wait_s * 1e3
            pods.append(replicas)
            cores += replicas * max(part.requested, rate * part.cpu_ms / 1e3 / ready)
        steps.append((offered, refused, p95_ms, *pods))
    table = np.array(steps)
    fixed = sum(
        max(2, math.ceil(peak * part.cpu_ms / 1e3 / (0.7 * part.cores))) * part.cores
        for part in parts
    )
    return Replay(
        curve, table[:, 0], table[:, 1], table[:, 2], table[:, 3:],
        cores * seconds / 3600, fixed * curve.length_s / 3600,
    )  # fmt: skip
