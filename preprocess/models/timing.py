"""How long inference takes, on rows that are not asked for again at once."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnxruntime

from preprocess.errors import ModelError
from preprocess.models.native import Float32s
from preprocess.models.session import probabilities


@dataclass(frozen=True, slots=True)
class Timing:
    """Calls with `batch` rows each; times in ms."""

    batch: int
    calls: int
    p50: float
    p95: float
    p99: float

    @property
    def rows_per_second(self) -> float:
        """At the median."""
        return self.batch / self.p50 * 1e3


def time_inference(
    session: onnxruntime.InferenceSession,
    x: Float32s,
    *,
    batch: int,
    calls: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Time `calls` calls, after a tenth as many that do not count.

    Each call takes the next rows of x, from its beginning again at its end: a processor that has
    seen a row predicts every branch of its way through a forest, so rows that repeat flatter.

    Raises:
        ModelError: x has not twice as many rows as a batch, so that calls would repeat them.
    """
    if batch < 1 or calls < 1 or len(x) < 2 * batch:
        raise ModelError(
            f"{len(x)} rows are too few to time batches of {batch}: give at least twice as many, "
            "so that no call repeats the rows of the one before."
        )
    starts = len(x) // batch
    times = np.empty(calls)
    warm = max(1, calls // 10)
    for call in range(-warm, calls):
        first = (call % starts) * batch
        rows = x[first : first + batch]
        began = clock()
        probabilities(session, rows)
        took = clock() - began
        if call >= 0:
            times[call] = took
    p50, p95, p99 = np.percentile(times, [50, 95, 99]) * 1e3
    return Timing(batch, calls, float(p50), float(p95), float(p99))
