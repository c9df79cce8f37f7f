"""The process that the load comes from, apart from the one that samples and reports."""

import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from preprocess.market.values import Floats
from tests.performance.load_test.generator import Outcome, generate
from tests.performance.load_test.mix import Mix, Once

_START_S = 60


@dataclass(frozen=True)
class Source:
    """Sends loads from a process of its own, to one address."""

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
        """One call of the mix a moment; returns when all is answered.

        `progress` is told of the seconds that have passed, and of how many there are.

        Raises:
            TimeoutError: the generator is not done long after it should be.
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
    """A process that sends, until the block ends."""
    # Spawned: a fork would take along the threads' locks, and the memory of what reports.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        pid = pool.submit(os.getpid).result(timeout=_START_S)
        yield Source(pool, pid, url, thresholds)


def _send(url: str, mix: Mix | Once, due_s: Floats, thresholds: Mapping[int, float]) -> Outcome:
    # Drawn before, so that drawing takes no processor time from the servers.
    calls = list(islice(mix.calls(), len(due_s)))
    return generate(url, iter(calls), due_s[: len(calls)], thresholds)
