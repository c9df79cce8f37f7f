"""Ways are measured in processes of their own, in turns, and a way that fails ends it."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from tests.performance.measure import Repetition, Times, Way, in_turns, timed, timed_each


def _noted(log: Path, name: str) -> Repetition:
    def repetition(number: int) -> Times:
        with log.open("a") as file:
            file.write(f"{name}{number} ")
        return timed_each(lambda _: os.getpid(), range(5))

    return repetition


def _allocating(megabytes: int) -> Repetition:
    return lambda _: timed(lambda: float(np.ones(megabytes * 131_072).sum()))


def _reading(file: Path) -> Repetition:
    return lambda _: timed(lambda: len(file.read_bytes()))


def _busy() -> Repetition:
    def spin() -> None:
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass

    return lambda _: timed(spin)


def _failing() -> Repetition:
    raise ValueError("no such market")


def _dying() -> Repetition:
    return lambda _: os._exit(3)


def test_ways_take_turns(tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = in_turns([Way("a", _noted, (log, "a")), Way("b", _noted, (log, "b"))], 3)
    assert log.read_text().split() == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert len(found["a"].all_ms) == 15


def test_memory_reads_and_cpu_are_a_ways_own(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(8_000_000))
    ways = [
        Way("large", _allocating, (200,)),
        Way("small", _allocating, (1,)),
        Way("read", _reading, (file,)),
        Way("busy", _busy),
    ]
    found = in_turns(ways, 2)
    assert found["large"].peak_mb - found["small"].peak_mb == pytest.approx(209, abs=30)
    assert found["read"].read_mb == pytest.approx(8.0, abs=0.5)
    assert found["busy"].cpu == pytest.approx(0.05, abs=0.03)


def test_a_way_that_fails_is_named() -> None:
    for way, said in (
        (Way("broken", _failing), "failed: ValueError: no such market"),
        (Way("broken", _dying), "ended early"),
    ):
        with pytest.raises(RuntimeError, match=f"broken {said}"):
            in_turns([Way("good", _allocating, (1,)), way], 1)
