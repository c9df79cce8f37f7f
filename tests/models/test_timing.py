"""Timing: what is asked, and what is made of the clock."""

import numpy as np
import pytest

from preprocess.models.timing import time_inference


class Session:
    """Answers zeros and keeps the rows that it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def get_inputs(self) -> list["Session"]:
        return [self]

    name = "features"
    shape = ("N", 25)

    def run(self, _names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:  # type: ignore[type-arg]  # a fake
        rows = feed["features"]
        self.asked.append(float(rows[0, 0]))
        return [np.zeros((len(rows), 1), dtype=np.float32)]


def test_each_call_takes_the_next_rows() -> None:
    session = Session()
    x = np.repeat(np.arange(7, dtype=np.float32)[:, None], 25, axis=1)
    time_inference(session, x, batch=2, calls=8)
    assert session.asked == [4.0, 0.0, 2.0, 4.0, 0.0, 2.0, 4.0, 0.0, 2.0]


class Clock:
    """2 ms pass while a call is timed, and an hour while none is."""

    def __init__(self) -> None:
        self.now, self.looks = 0.0, 0

    def __call__(self) -> float:
        self.now += 0.002 if self.looks % 2 else 3600.0
        self.looks += 1
        return self.now


def test_only_calls_count() -> None:
    x = np.zeros((4, 25), dtype=np.float32)
    timing = time_inference(Session(), x, batch=2, calls=5, clock=Clock())
    assert timing.calls == 5
    assert timing.p50 == timing.p99 == pytest.approx(2.0)
    assert timing.rows_per_second == pytest.approx(1000.0)
