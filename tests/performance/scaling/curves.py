"""Load over time, as shares of a peak: what a service that people ask for predictions gets."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """`share(t)` of the peak at second t of `length_s`; `step_s` resolves it well enough."""

    name: str
    length_s: int
    step_s: int
    share: Callable[[float], float]


QUIET = 0.05
_LEAD_S = 300.0
_RISE_S = 30.0
_RAMP_S = 600.0


def _constant(_: float) -> float:
    return 1.0


def _ramp(t: float) -> float:
    return min(1.0, max(QUIET, QUIET + (1 - QUIET) * (t - _LEAD_S) / _RAMP_S))


def _spike(t: float) -> float:
    """Quiet for five minutes, to the peak in half a minute, there for twenty, and quiet again."""
    if t < _LEAD_S:
        return QUIET
    if t < _LEAD_S + 1200:
        return min(1.0, QUIET + (1 - QUIET) * (t - _LEAD_S) / _RISE_S)
    return QUIET


def _day_shape(t: float) -> float:
    """From 08:30 to 22:30 in Mumbai: the market's open and close, then the evening's results.

    Companies announce from the close on; most ask at 19:30, when the day's prices are in. Announced
    results come in bursts, each within a minute.
    """
    hour = 8.5 + t / 3600
    shape = QUIET
    for centre, width, height in (
        (9.35, 0.25, 0.30),
        (12.5, 2.5, 0.10),
        (15.4, 0.35, 0.35),
        (17.5, 1.2, 0.25),
        (19.75, 0.45, 0.60),
    ):
        shape += height * math.exp(-(((hour - centre) / width) ** 2) / 2)
    for minute in (16.75, 18.1, 19.55):
        since = (hour - minute) * 60
        if 0 <= since < 20:
            shape += 0.25 * min(1.0, since) * math.exp(-max(0.0, since - 1) / 6)
    return shape


_DAY_S = 14 * 3600
_DAY_MOST = max(_day_shape(t) for t in range(0, _DAY_S, 5))


def _day(t: float) -> float:
    return min(1.0, _day_shape(t) / _DAY_MOST)


CONSTANT = Curve("constant", 1800, 1, _constant)
RAMP = Curve("ramp", 1800, 1, _ramp)
SPIKE = Curve("spike", 2700, 1, _spike)
DAY = Curve("trading day", _DAY_S, 5, _day)
CURVES = (CONSTANT, RAMP, SPIKE, DAY)
