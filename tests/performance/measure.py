"""Ways of doing something, each in a process of its own, measured in turns.

Each way gets its own child process, so that the most memory it held is its own. The children take
turns, one repetition each: noise of the machine meets the baseline and the product alike. What is
to be warm (imports, compiled code, a page cache) is warmed by a way's `setup`, unmeasured.
"""

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

_MB = 1e6


@dataclass(frozen=True)
class Times:
    """Seconds of each operation of one repetition, and whatever the benchmark wants to see.

    `cpu_s` and `read_mb` are those of the repetition: seconds of CPU, and MB that were read by
    calls or mapped from files.
    """

    seconds: Sequence[float]
    result: Any = None
    cpu_s: float = 0.0
    read_mb: float = 0.0


# Does one repetition by its number: other rows, other days each time.
Repetition = Callable[[int], Times]


@dataclass(frozen=True)
class Way:
    """A way of doing something: `setup(*arguments)` runs in the child and gives a Repetition.

    `imports` is a folder of packages that the child imports instead of the project's.
    """

    name: str
    setup: Callable[..., Repetition]
    arguments: tuple[Any, ...] = ()
    imports: Path | None = None


@dataclass(frozen=True)
class Measured:
    """What the repetitions of one way took.

    `peak_mb` is the most memory that the process held, its imports included.
    """

    times: Sequence[Times]
    peak_mb: float

    @property
    def all_ms(self) -> list[float]:
        """Every operation's time in ms."""
        return [second * 1e3 for times in self.times for second in times.seconds]

    @property
    def median_ms(self) -> float:
        """Median over all operations, in ms."""
        return float(np.median(self.all_ms))

    @property
    def cpu(self) -> float:
        """Median seconds of CPU of one operation."""
        return float(np.median([times.cpu_s / len(times.seconds) for times in self.times]))

    def quantile_ms(self, percent: float) -> float:
        """A quantile over all operations, in ms."""
        return float(np.percentile(self.all_ms, percent))

    @property
    def read_mb(self) -> float:
        """MB of one operation of the first repetition, when nothing was mapped yet."""
        first = self.times[0]
        return first.read_mb / len(first.seconds)


def in_turns(
    ways: Sequence[Way],
    repetitions: int,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Mapping[str, Measured]:
    """Run every way `repetitions` times, one after the other, round and round.

    `progress` gets the repetitions done, and how many there are.

    Raises:
        RuntimeError: a way failed.
    """
    times: dict[str, list[Times]] = {way.name: [] for way in ways}
    with ExitStack() as stack:
        pools = {way.name: stack.enter_context(process(way.imports)) for way in ways}
        for way in ways:
            _result(way.name, pools[way.name].submit(_set_up, way))
        for number in range(repetitions):
            for name, pool in pools.items():
                times[name].append(_result(name, pool.submit(_repeat, number)))
            progress(number + 1, repetitions)
        peaks = {name: pool.submit(_status_mb, "VmHWM").result() for name, pool in pools.items()}
    return {name: Measured(of, peaks[name]) for name, of in times.items()}


def process(imports: Path | None = None) -> ProcessPoolExecutor:
    """One process; forked, so that imports are loaded once, unless it has packages of its own."""
    if imports is None:
        return ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, context, _import_first, (str(imports),))


def apart(operation: Callable[..., Any], *arguments: Any) -> Any:
    """What `operation` returns, computed in a process of its own, so that this one can still fork.

    A library's threads do not come along into a forked process, which may then wait for them
    for ever: before a fork do not use XGBoost, LightGBM or ONNX Runtime.
    """
    with process() as pool:
        return pool.submit(operation, *arguments).result()


def timed(operation: Callable[[], Any]) -> Times:
    """One repetition that is one operation."""
    cpu, read, began = _cpu_s(), _read_mb(), time.perf_counter()
    result = operation()
    seconds = [time.perf_counter() - began]
    return Times(seconds, result, _cpu_s() - cpu, _read_mb() - read)


def timed_each(operation: Callable[[Any], Any], items: Sequence[Any]) -> Times:
    """One repetition that does the same to many items."""
    clock = time.perf_counter
    seconds = []
    cpu, read = _cpu_s(), _read_mb()
    for item in items:
        began = clock()
        operation(item)
        seconds.append(clock() - began)
    return Times(seconds, None, _cpu_s() - cpu, _read_mb() - read)


def timed_calls(ask: Callable[[Any], Any], rows: Any, parts: Sequence[slice]) -> Times:
    """Times of `ask` for each part of `rows` but the first, which warms buffers and caches.

    The result is what it answered for the measured rows, float64 [n].
    """
    first, *batches = [rows[part] for part in parts]
    ask(first)
    answers: list[Any] = []
    times = timed_each(lambda batch: answers.append(ask(batch)), batches)
    return replace(times, result=np.concatenate(answers, dtype=np.float64))


def one_thread() -> None:
    """Libraries that would take more threads take one, here and in what is started from here."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"


_repetitions: list[Repetition] = []
"""The one way of a child process."""


def _import_first(folder: str) -> None:
    sys.path.insert(0, folder)


def _set_up(way: Way) -> None:
    _repetitions.append(way.setup(*way.arguments))
    _forget_peak()


def _repeat(number: int) -> Times:
    return _repetitions[-1](number)


def _result(name: str, job: "Future[Any]") -> Any:
    try:
        return job.result()
    except BrokenProcessPool:
        raise RuntimeError(f"{name} ended early.") from None
    except Exception as error:
        raise RuntimeError(f"{name} failed: {type(error).__name__}: {error}") from error


def _cpu_s() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _read_mb() -> float:
    """Bytes that were read by calls, and of mapped files what is in this process's memory."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    called = next(int(line.split()[1]) for line in lines if line.startswith("rchar"))
    return called / _MB + _status_mb("RssFile")


def _status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / _MB


def _forget_peak() -> None:
    """Start the peak at the memory used now: `5` resets it (proc(5), clear_refs)."""
    with suppress(OSError):  # some containers refuse: the peak then covers the setup too
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
