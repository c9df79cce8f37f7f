"""What is sent: how fast, for how long, and when each request is due."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.market.values import Floats

STEADY_RATE, PEAK_RATE = 100.0, 500.0
# Of these a scenario is never less, however small the scale.
_SHORTEST_S = 1.0


@dataclass(frozen=True)
class Stretch:
    """So many seconds in which the rate goes evenly from one value to another, requests/s."""

    seconds: float
    first: float
    last: float


@dataclass(frozen=True)
class Scenario:
    """A load of a given shape. `top_s` is when it has reached its greatest rate."""

    name: str
    text: str
    stretches: Sequence[Stretch]
    top_s: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it is."""
        return sum(stretch.seconds for stretch in self.stretches)

    def due_s(self) -> Floats:
        """When its requests are due."""
        return due_times(self.stretches)


def scenarios(scale: float) -> list[Scenario]:
    """Steady, spike, sustained; `scale` shortens or lengthens all of their parts."""

    def scaled(seconds: float) -> float:
        return max(_SHORTEST_S, seconds * scale)

    third, steady, sustained = scaled(30), scaled(600), scaled(300)
    low, high = STEADY_RATE, PEAK_RATE
    return [
        Scenario("steady", f"{low:g}/s for {steady:g} s", [Stretch(steady, low, low)]),
        Scenario(
            "spike",
            f"0 to {high:g}/s in {third:g} s, {third:g} s of it, {third:g} s of {low:g}/s",
            [Stretch(third, 0.0, high), Stretch(third, high, high), Stretch(third, low, low)],
            top_s=third,
        ),
        Scenario("sustained", f"{high:g}/s for {sustained:g} s", [Stretch(sustained, high, high)]),
    ]


def due_times(stretches: Sequence[Stretch]) -> Floats:
    """When each request is due, float64 [n], ascending: evenly spaced as far as the rate is."""
    parts, begin, whole = [np.empty(0)], 0.0, 0.0
    for stretch in stretches:
        # The count of requests is the integral of the rate; a request is due where it is whole.
        slope = (stretch.last - stretch.first) / stretch.seconds
        area = stretch.seconds * (stretch.first + stretch.last) / 2
        counts = np.arange(np.ceil(whole), whole + area) - whole
        if abs(slope) < 1e-12:
            moments = counts / stretch.first if stretch.first else counts
        else:
            root = np.sqrt(np.maximum(stretch.first**2 + 2 * slope * counts, 0.0))
            moments = (root - stretch.first) / slope
        parts.append(begin + moments)
        begin += stretch.seconds
        whole += area
    due: Floats = np.concatenate(parts)
    return due


def constant(rate: float, seconds: float) -> Floats:
    """One rate all the time."""
    return due_times([Stretch(seconds, rate, rate)])
