"""When requests are due, in seconds from the begin of a load."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.market import Floats


@dataclass(frozen=True)
class Stretch:
    """So many seconds in which the rate goes evenly from one value to another, requests/s."""

    seconds: float
    first: float
    last: float


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
