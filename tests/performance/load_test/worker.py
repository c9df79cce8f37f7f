"""The process that sends the load, apart from the one that samples and reports."""

import math
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
import uvloop
from numpy.typing import NDArray

from preprocess.market.values import Floats
from tests.performance.load_test.checks import Checks
from tests.performance.load_test.mix import Call, Mix, Once
from tests.performance.open_loop import OpenLoop, Reply
from tests.performance.pairs import Pair

_START_S = 60


@dataclass(frozen=True)
class Outcome:
    """What became of the requests, in the order in which they were due.

    `due_s` counts from the start of the load, `began` is that start by time.monotonic. `failures`
    counts failed requests by what was wrong. `seen` has the least and the greatest probability
    for each pair.
    """

    began: float
    due_s: Floats
    latency_ms: Floats
    late_ms: Floats
    failed: NDArray[np.bool_]
    failures: Mapping[str, int]
    seen: Mapping[Pair, tuple[float, float]]

    @property
    def errors(self) -> int:
        """Requests without a right response."""
        return int(self.failed.sum())

    def quantile(self, percent: float) -> float:
        """A quantile of the latencies, failures included, in ms."""
        return float(np.percentile(self.latency_ms, percent))


@dataclass(frozen=True)
class Source:
    """Sends loads to one address, from a process of its own."""

    pool: Executor
    pid: int
    url: str
    thresholds: Mapping[int, float]

    def send(
        self,
        mix: Mix | Once,
        due_s: Floats,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Outcome:
        """Send one call of the mix at each moment; returns when every reply is there.

        `progress` gets the seconds that have passed, and how many there are.

        Raises:
            TimeoutError: the generator has not ended long after it should have.
        """
        total_s = math.ceil(float(due_s[-1]))
        job = self.pool.submit(_send, self.url, mix, due_s, self.thresholds)
        for second in range(3 * total_s + _START_S):
            progress(min(second, total_s), total_s)
            if wait([job], timeout=1.0).done:
                return job.result()
        raise TimeoutError(f"a load of {total_s} s has not ended after {3 * total_s + _START_S} s")


@contextmanager
def load_source(url: str, thresholds: Mapping[int, float]) -> Iterator[Source]:
    """A process that sends loads, until the block ends."""
    # Spawned: a fork would take along the threads' locks, and the memory of what reports.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        pid = pool.submit(os.getpid).result(timeout=_START_S)
        yield Source(pool, pid, url, thresholds)


async def generate(
    url: str, calls: Sequence[Call], due_s: Floats, thresholds: Mapping[int, float]
) -> Outcome:
    """Send each call when it is due, and check every response.

    Raises:
        OSError: the address refuses connections.
    """
    latency_ms, late_ms = np.full(len(calls), np.nan), np.zeros(len(calls))
    failed, failures = np.zeros(len(calls), dtype=bool), Counter[str]()
    checks, moments = Checks(thresholds), due_s.tolist()

    def on_reply(reply: Reply) -> None:
        number = reply.number
        latency_ms[number], late_ms[number] = reply.latency_ms, reply.late_ms
        wrong = reply.error or checks.finding(calls[number], reply.status, reply.body)
        if wrong:
            failed[number] = True
            failures[wrong] += 1

    load = OpenLoop(url, calls.__getitem__, moments.__getitem__, on_reply, count=len(calls))
    began = await load.run()
    return Outcome(began, due_s, latency_ms, late_ms, failed, dict(failures), checks.seen)


def _send(url: str, mix: Mix | Once, due_s: Floats, thresholds: Mapping[int, float]) -> Outcome:
    # Drawn before, so that drawing takes no CPU from the servers.
    calls = list(islice(mix.calls(), len(due_s)))
    return uvloop.run(generate(url, calls, due_s[: len(calls)], thresholds))
