"""One repetition over slices of rows; imports nothing that a worker apart could not have."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tests.performance.measure import Times, timed_each

Ask = Callable[[Any], Any]


def asked(ask: Ask, rows: Any, parts: Sequence[slice]) -> Times:
    """Times of `ask` for each part but the first, which warms buffers and caches.

    The result is what it answered for the measured rows, float64 [n].
    """
    first, *batches = [rows[part] for part in parts]
    ask(first)
    answers: list[Any] = []
    times = timed_each(lambda batch: answers.append(ask(batch)), batches)
    return replace(times, result=np.concatenate(answers, dtype=np.float64))
