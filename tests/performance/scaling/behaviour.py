"""How fast a recommendation is followed: stabilisation windows, then rates.

https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#configurable-scaling-behavior
"""

import math
from collections import deque

from tests.performance.scaling.policy import Direction, Policy, Rate, Select, Unit


class Behaviour:
    """Remembers recommendations and changes, and says what the next number of replicas is."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._memory_s = max(policy.up.window_s, policy.down.window_s)
        self._longest_s = max(rate.period_s for rate in (*policy.up.rates, *policy.down.rates))
        self._recommended: deque[tuple[float, int]] = deque()
        self._changes: deque[tuple[float, int]] = deque()

    def follow(self, now_s: float, current: int, recommended: int) -> int:
        """The number of replicas from now on."""
        if not self._recommended:
            # What is there when the autoscaler begins counts as its first recommendation.
            self._recommended.append((now_s, current))
        stable = self._stabilised(now_s, current, recommended)
        after = self._limited(now_s, current, stable)
        if after != current:
            self._changes.append((now_s, after - current))
        return after

    def _stabilised(self, now_s: float, current: int, recommended: int) -> int:
        while self._recommended and self._recommended[0][0] < now_s - self._memory_s:
            self._recommended.popleft()
        least = most = recommended
        for when, number in self._recommended:
            if when > now_s - self._policy.up.window_s:
                least = min(least, number)
            if when > now_s - self._policy.down.window_s:
                most = max(most, number)
        self._recommended.append((now_s, recommended))
        # More only if it was so all the time, fewer only if it was so all the time.
        return min(max(current, least), most)

    def _limited(self, now_s: float, current: int, wanted: int) -> int:
        while self._changes and self._changes[0][0] <= now_s - self._longest_s:
            self._changes.popleft()
        policy = self._policy
        if wanted > current:
            limit = max(current, self._limit(now_s, current, policy.up, sign=1))
            return min(wanted, limit, max(policy.maximum, 0))
        if wanted < current:
            limit = min(current, self._limit(now_s, current, policy.down, sign=-1))
            wanted = max(wanted, limit)
        return min(max(wanted, policy.minimum), policy.maximum)

    def _limit(self, now_s: float, current: int, direction: Direction, *, sign: int) -> int:
        if direction.select is Select.DISABLED:
            return current
        reached = [self._reach(now_s, current, rate, sign) for rate in direction.rates]
        furthest = (direction.select is Select.MAX) == (sign > 0)
        return max(reached) if furthest else min(reached)

    def _reach(self, now_s: float, current: int, rate: Rate, sign: int) -> int:
        within = [change for when, change in self._changes if when > now_s - rate.period_s]
        at_start = current - sum(within)
        if rate.unit is Unit.PODS:
            return at_start + sign * rate.value
        # Kubernetes rounds to more pods when adding, and cuts off when taking away.
        reached = at_start * (100 + sign * rate.value) / 100
        return math.ceil(reached) if sign > 0 else int(reached)
