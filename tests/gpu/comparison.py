"""Contenders on the same fresh rows in turns, each answer compared with the trained model's."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.models.native import Float32s

BATCHES = (1, 10, 100, 1_000, 11_000)
CALLS = {1: 60, 10: 40, 100: 20, 1_000: 10, 11_000: 4}

Ask = Callable[[Float32s], NDArray[Any]]


class WrongAnswerError(RuntimeError):
    """A contender does not compute the model."""


@dataclass(frozen=True)
class Times:
    """Milliseconds of every call, by contender and rows of a call."""

    ms: Mapping[str, Mapping[int, Sequence[float]]]

    def median(self, name: str, rows: int) -> float:
        """Median of a contender's calls of so many rows."""
        return float(np.median(self.ms[name][rows]))


def compare(
    contenders: Mapping[str, Ask],
    reference: str,
    rows: Callable[[int], Float32s],
    *,
    tolerance: float,
    rounds: int,
) -> Times:
    """Let each contender answer every batch; `reference` names the one that is right.

    Each call has rows that no call had before, the same for all contenders. The first round warms
    buffers and caches, and does not count.

    Raises:
        WrongAnswerError: an answer is further from the reference than `tolerance`.
    """
    found: dict[str, dict[int, list[float]]] = {name: {} for name in contenders}
    for number in range(rounds + 1):
        for size in BATCHES:
            batches = [rows(size) for _ in range(CALLS[size] if number else 1)]
            answers: dict[str, list[Any]] = {}
            for name, ask in contenders.items():
                ms, answers[name] = _timed(ask, batches)
                if number:
                    found[name].setdefault(size, []).extend(ms)
            for name, parts in answers.items():
                _require(name, parts, answers[reference], tolerance)
    return Times(found)


def _timed(ask: Ask, batches: Sequence[Float32s]) -> tuple[list[float], list[NDArray[Any]]]:
    ms, answers = [], []
    for batch in batches:
        began = time.perf_counter()
        answer = ask(batch)
        ms.append((time.perf_counter() - began) * 1e3)
        answers.append(answer)
    return ms, answers


def _require(name: str, found: Sequence[Any], expected: Sequence[Any], tolerance: float) -> None:
    apart = np.abs(np.concatenate(found).astype(float) - np.concatenate(expected).astype(float))
    wrong = ~(apart <= tolerance)  # NaN is wrong too
    if wrong.any():
        raise WrongAnswerError(
            f"{name} does not compute the model: {int(wrong.sum()):,} of {len(apart):,} rows are "
            f"further from it than {tolerance:.1e}, by up to {np.nanmax(apart):.2g}."
        )
