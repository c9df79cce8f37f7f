"""What is asked of the stack: how fast, for how long, and how long that is at another scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.schemas import LARGEST_BATCH
from preprocess.market import Floats
from tests.performance.load_test.schedule import Stretch, due_times

STEADY_RATE, PEAK_RATE = 100.0, 500.0
# Requests for as many stocks as the API takes: a thousand stocks a second are computed in passing.
_FILL_RATE = 10.0
# Of these a scenario is never less, however small the scale.
_SHORTEST_S = 2.0


@dataclass(frozen=True)
class Scenario:
    """A load of a given shape. `top_s` is when it has reached its greatest rate.

    Before one that is `on_full_caches` every gateway is asked for the whole market.
    """

    name: str
    text: str
    stretches: Sequence[Stretch]
    top_s: float = 0.0
    on_full_caches: bool = False

    @property
    def seconds(self) -> float:
        """How long it is."""
        return sum(stretch.seconds for stretch in self.stretches)

    def due_s(self) -> Floats:
        """When its requests are due."""
        return due_times(self.stretches)


def scenarios(scale: float) -> list[Scenario]:
    """Steady, spike, sustained, endurance; `scale` shortens or lengthens all of their parts.

    The last is the sustained load once more, and there for the memory: where caches have taken in
    all there is, it is something else that still grows.
    """

    def scaled(seconds: float) -> float:
        return max(_SHORTEST_S, seconds * scale)

    ramp, hold, after = scaled(30), scaled(30), scaled(30)
    steady, sustained, endurance = scaled(600), scaled(300), scaled(300)
    return [
        Scenario(
            "steady",
            f"{STEADY_RATE:g}/s for {steady:g} s",
            [Stretch(steady, STEADY_RATE, STEADY_RATE)],
        ),
        Scenario(
            "spike",
            f"0 to {PEAK_RATE:g}/s in {ramp:g} s, {hold:g} s of it, "
            f"{after:g} s of {STEADY_RATE:g}/s",
            [
                Stretch(ramp, 0.0, PEAK_RATE),
                Stretch(hold, PEAK_RATE, PEAK_RATE),
                Stretch(after, STEADY_RATE, STEADY_RATE),
            ],
            top_s=ramp,
        ),
        Scenario(
            "sustained",
            f"{PEAK_RATE:g}/s for {sustained:g} s",
            [Stretch(sustained, PEAK_RATE, PEAK_RATE)],
        ),
        Scenario(
            "endurance",
            f"{PEAK_RATE:g}/s for {endurance:g} s, caches filled before",
            [Stretch(endurance, PEAK_RATE, PEAK_RATE)],
            on_full_caches=True,
        ),
    ]


def filling(stocks: int) -> Scenario:
    """What each gateway is asked to fill its caches."""
    seconds = math.ceil(stocks / LARGEST_BATCH) / _FILL_RATE
    return Scenario(
        "fill",
        f"each gateway asked for every stock, {LARGEST_BATCH} in a request",
        [Stretch(seconds, _FILL_RATE, _FILL_RATE)],
    )
