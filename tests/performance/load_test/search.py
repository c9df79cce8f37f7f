"""The greatest rate at which responses are still in time: steps up, then halves, then a proof."""

from collections.abc import Callable
from dataclasses import dataclass

BOUND_MS = 50.0
_FACTOR = 1.3
_HALVINGS = 3
_LESS = 0.95
_GREATEST = 20_000.0


@dataclass(frozen=True)
class Step:
    """What came of one rate: p99 of the latencies in ms, and failures."""

    p99_ms: float
    errors: int

    @property
    def passed(self) -> bool:
        """Whether all was right and in time."""
        return self.errors == 0 and self.p99_ms < BOUND_MS


@dataclass(frozen=True)
class Found:
    """The greatest rate that passed for the longer time, 0 if none did, and how many were tried."""

    rate: float
    steps: int


def greatest_rate(
    attempt: Callable[[float, float], Step], *, first: float, step_s: float, proof_s: float
) -> Found:
    """Search from `first` requests a second on; `attempt(rate, seconds)` sends such a load.

    A step that fails is tried once more, so that another program's noise ends nothing. What the
    search finds is then sent for `proof_s`, and lowered by 5 % until that holds.
    """
    steps = 0

    def holds(rate: float, seconds: float) -> bool:
        nonlocal steps
        for _ in range(2):
            steps += 1
            if attempt(rate, seconds).passed:
                return True
        return False

    rate, good, bad = first, 0.0, None
    while bad is None and rate <= _GREATEST:
        if holds(rate, step_s):
            good, rate = rate, rate * _FACTOR
        elif good:
            bad = rate
        else:
            rate /= 2
            if rate < 1.0:
                return Found(0.0, steps)
    for _ in range(_HALVINGS if bad else 0):
        middle = (good + (bad or good)) / 2
        if holds(middle, step_s):
            good = middle
        else:
            bad = middle
    while good >= 1.0:
        if holds(good, proof_s):
            return Found(good, steps)
        good *= _LESS
    return Found(0.0, steps)
