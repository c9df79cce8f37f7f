"""One deployment under load: its pods, what they do in a step of time, what its metrics say."""

from collections import deque
from dataclasses import dataclass, field

from tests.performance.scaling.behaviour import Behaviour
from tests.performance.scaling.policy import Policy
from tests.performance.scaling.queueing import mean_wait_s, wait_quantile_s
from tests.performance.scaling.recommendation import Readings, by_pods, by_value, together

SYNC_S = 15.0


@dataclass(frozen=True)
class Part:
    """What is scaled. `cores` are those that a pod can use, `asked_cores` those that it asks for.

    `waiting`: requests that one pod holds back before it refuses more. `start_s`: from the
    decision to add a pod until it is ready.
    """

    name: str
    policy: Policy
    cpu_ms: float
    cores: int
    asked_cores: float
    start_s: float
    waiting: int = 256


@dataclass(frozen=True)
class Cluster:
    """What is true of the cluster: how old a metric is, and over how long it is."""

    lag_s: float = 15.0
    over_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of time came to. Rates a second; times in seconds; `replicas` asked for."""

    at_s: float
    offered: float
    served: float
    refused: float
    replicas: int
    ready: int
    wait_p95_s: float
    busy: float


@dataclass(slots=True)
class _Seen:
    """One moment of the past: cores used by each ready pod, its mean wait, and how many it was."""

    at_s: float
    cores_used: float
    wait_s: float


@dataclass
class Tier:
    """Pods of one part, with their autoscaler. They are alike, and share the load evenly."""

    part: Part
    cluster: Cluster
    ready_at: list[float] = field(default_factory=list)
    backlog: float = 0.0

    def __post_init__(self) -> None:
        # Pods that are there when the replay begins have been ready for long.
        self.ready_at = self.ready_at or [-1e9] * self.part.policy.minimum
        self._behaviour = Behaviour(self.part.policy)
        self._seen: deque[_Seen] = deque()
        self._next_sync_s = 0.0

    def step(self, now_s: float, seconds: float, offered: float) -> Step:
        """Take `offered` requests a second for `seconds`, then let the autoscaler look."""
        part = self.part
        service_s = part.cpu_ms / 1e3
        ready = sum(when <= now_s for when in self.ready_at)
        capacity = ready * part.cores / service_s
        work = self.backlog / seconds + offered
        served = min(work, capacity)
        left = (work - served) * seconds
        self.backlog = min(left, float(ready * part.waiting))
        refused = (left - self.backlog) / seconds
        cores_used = served * service_s / ready if ready else 0.0
        wait_p95 = self._wait(ready, served, 0.95)
        self._seen.append(_Seen(now_s, cores_used, min(self._wait(ready, served, None), 2.0)))
        step = Step(
            at_s=now_s,
            offered=offered,
            served=served,
            refused=refused,
            replicas=len(self.ready_at),
            ready=ready,
            wait_p95_s=wait_p95,
            busy=cores_used / part.cores,
        )
        if now_s >= self._next_sync_s:
            self._next_sync_s += SYNC_S
            self._sync(now_s)
        return step

    def _wait(self, ready: int, served: float, quantile: float | None) -> float:
        """Seconds of waiting: what stands before a new arrival, or the queue's own where that is
        more. While a backlog is worked off the formula has no answer, and is not asked."""
        part = self.part
        service_s = part.cpu_ms / 1e3
        if not ready:
            return float("inf")
        behind = self.backlog * service_s / (ready * part.cores)
        if behind:
            return behind
        # Just below all that pods can do a steady state is never reached within a step.
        arrivals = min(served / ready, 0.995 * part.cores / service_s)
        if quantile is None:
            return mean_wait_s(arrivals=arrivals, service_s=service_s, cores=part.cores)
        return wait_quantile_s(quantile, arrivals=arrivals, service_s=service_s, cores=part.cores)

    def _sync(self, now_s: float) -> None:
        policy, current = self.part.policy, len(self.ready_at)
        newest = now_s - self.cluster.lag_s
        oldest = newest - self.cluster.over_s
        while self._seen and self._seen[0].at_s < oldest:
            self._seen.popleft()
        window = [seen for seen in self._seen if seen.at_s <= newest]
        wanted: list[int | None] = []
        if policy.cpu_target is not None:
            wanted.append(by_pods(self._readings(window, oldest, now_s), current))
        if policy.queue_target_us is not None:
            value = None
            if window:
                waits = sum(seen.wait_s for seen in window) / len(window)
                value = waits * 1e6 / policy.queue_target_us
            ready = sum(when <= now_s for when in self.ready_at)
            wanted.append(by_value(value, ready, current))
        after = self._behaviour.follow(now_s, current, together(wanted, current))
        if after > current:
            self.ready_at += [now_s + self.part.start_s] * (after - current)
        elif after < current:
            # Pods that are not ready go first, as with a ReplicaSet.
            self.ready_at = sorted(self.ready_at)[:after]

    def _readings(self, window: list[_Seen], oldest: float, now_s: float) -> Readings:
        """CPU of each pod that was ready all the time; the others are set aside."""
        whole = sum(when <= oldest for when in self.ready_at)
        starting = sum(when > oldest for when in self.ready_at)
        if not window:
            return Readings((), not_ready=starting, missing=whole)
        used = sum(seen.cores_used for seen in window) / len(window)
        target = self.part.asked_cores * (self.part.policy.cpu_target or 1.0)
        return Readings([used / target] * whole, not_ready=starting)
