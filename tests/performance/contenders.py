"""Who computes a forest, each in a process of its own on one thread; on which rows; how rightly."""

import pickle
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime

from preprocess.features.batch import STATUSES, batch_rows
from preprocess.features.row import Status
from preprocess.training.dataset import Dataset
from preprocess.training.native import Doubles, Float32s
from preprocess.training.split import split_by_time
from tests.performance.market import SEED, BenchMarket, read_columns
from tests.performance.measure import Measured, Repetition, timed_calls
from tests.performance.pairs import predictable_rows


@dataclass(frozen=True)
class Plan:
    """Which rows each repetition is given, none twice.

    `calls` has, by rows of a call, how many calls a repetition makes. Repetition r takes the
    size r modulo the number of sizes, so that the sizes take turns as the ways do.
    """

    calls: dict[int, int]
    rounds: int

    @property
    def sizes(self) -> list[int]:
        """Rows of each call, by repetition."""
        return list(self.calls) * self.rounds

    @cached_property
    def parts(self) -> list[list[slice]]:
        """The rows of each call, by repetition.

        The first call of each is not measured: it warms buffers and caches.
        """
        parts, begin = [], 0
        for size in self.sizes:
            ends = begin + min(size, 1_000) + size * np.arange(self.calls[size] + 1)
            parts.append([slice(*pair) for pair in pairwise([begin, *ends.tolist()])])
            begin = int(ends[-1])
        return parts

    @property
    def rows(self) -> int:
        """How many rows it takes."""
        return int(self.parts[-1][-1].stop)


@dataclass(frozen=True)
class Contender:
    """What was measured of one way, and the size of the file that it computes from."""

    name: str
    measured: Measured
    plan: Plan
    size_mb: float

    def ms(self, rows: int) -> list[float]:
        """Times of every call of so many rows, in ms."""
        return [
            second * 1e3
            for size, times in zip(self.plan.sizes, self.measured.times, strict=True)
            if size == rows
            for second in times.seconds
        ]

    def median_ms(self, rows: int) -> float:
        """Median of them."""
        return float(np.median(self.ms(rows)))

    @property
    def answers(self) -> Doubles:
        """The probabilities of every measured row, in the plan's order."""
        return np.concatenate([times.result for times in self.measured.times])

    def require(self, expected: Doubles, tolerance: float) -> None:
        """Compare the answers with `expected`, which may be those of the first rows alone.

        Raises:
            RuntimeError: one is further off than `tolerance`, or missing.
        """
        found = self.answers[: len(expected)]
        if len(found) < len(expected):
            raise RuntimeError(f"{self.name} answered {len(found):,} of {len(expected):,} rows.")
        wrong = ~(np.abs(found - expected) <= tolerance)  # NaN is wrong too
        if wrong.any():
            row = int(wrong.argmax())
            raise RuntimeError(
                f"{self.name} answers wrong for {int(wrong.sum()):,} of {len(found):,} rows: row "
                f"{row} has {found[row]:.6g} instead of {expected[row]:.6g}. It is not measured."
            )


def pickled(file: Path, rows: Path, plan: Plan) -> Repetition:
    """The estimator as people use it: unpickled once, `predict_proba` on numpy rows."""
    with file.open("rb") as stream:
        estimator = pickle.load(stream)  # our own file, written by the benchmark
    estimator.get_booster().set_param({"nthread": 1})
    held_out = np.load(rows)
    return lambda number: timed_calls(
        lambda x: estimator.predict_proba(x)[:, 1], held_out, plan.parts[number]
    )


def graph(file: Path, rows: Path, plan: Plan) -> Repetition:
    """ONNX Runtime on the CPU, as Triton runs it: one thread, the probability asked for."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    held_out = np.load(rows)
    return lambda number: timed_calls(
        lambda x: session.run(["probability"], {"features": x})[0][:, 0],
        held_out,
        plan.parts[number],
    )


def fresh_rows(market: BenchMarket, dataset: Dataset, count: int, target: Path) -> Float32s:
    """Features of `count` pairs of stock and trading day, float32 [count, 25], no pair twice.

    They lie after everything that was learnt from. They are written to `target`, from which
    processes map them.

    Raises:
        ValueError: the market has fewer such pairs.
    """
    columns = read_columns(market.database)
    stocks, days = predictable_rows(columns)
    after = int(split_by_time(dataset).validation.days.min())
    held_out = np.random.default_rng(SEED).permutation(np.flatnonzero(days >= after))[:count]
    rows = batch_rows(columns, stocks[held_out], days[held_out])
    good: Float32s = rows.values[rows.status == STATUSES.index(Status.OK)].astype(np.float32)
    if len(good) < count:
        raise ValueError(f"{market.name} has {len(good):,} rows held out, and not {count:,}.")
    np.save(target, good)
    return good
