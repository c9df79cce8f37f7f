"""Ways of doing something, each in a process of its own, measured in turns.

Each way gets its own child process, so that the most memory it held is its own. The children take
turns, one repetition each: noise of the machine meets the baseline and the product alike. What is
to be warm (imports, compiled code, a page cache) is warmed by a way's `setup`, unmeasured.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

_LIMIT_S = 600.0
_MB = 1e6


@dataclass(frozen=True)
class Times:
    """Seconds of each operation of one repetition, and whatever the benchmark wants to see."""

    seconds: Sequence[float]
    result: Any = None


# Does one repetition by its number: other rows, other days each time.
Repetition = Callable[[int], Times]


@dataclass(frozen=True)
class Way:
    """A way of doing something: `setup(*arguments)` runs in the child and gives a Repetition."""

    name: str
    setup: Callable[..., Repetition]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Measured:
    """What the repetitions of one way took.

    `repetitions` are seconds of CPU of each; `read_mb` is what the first one read by calls or
    mapped from files; `peak_mb` the most memory that the process held, its imports included.
    """

    times: Sequence[Times]
    cpu_s: Sequence[float]
    read_mb: float
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
        operations = [max(len(times.seconds), 1) for times in self.times]
        return float(np.median(np.divide(self.cpu_s, operations)))

    def quantile_ms(self, percent: float) -> float:
        """A quantile over all operations, in ms."""
        return float(np.percentile(self.all_ms, percent))

    @property
    def read_mb_each(self) -> float:
        """`read_mb` by operation."""
        return self.read_mb / max(len(self.times[0].seconds), 1)


def in_turns(ways: Sequence[Way], repetitions: int) -> Mapping[str, Measured]:
    """Run every way `repetitions` times, one after the other, round and round.

    Raises:
        RuntimeError: a way failed, or took more than ten minutes.
    """
    with ExitStack() as stack:
        children = [_Child(way, stack) for way in ways]
        for child in children:
            child.ready()
        for number in range(repetitions):
            for child in children:
                child.repeat(number)
        return {child.name: child.finish() for child in children}


def timed(operation: Callable[[], Any]) -> Times:
    """One repetition that is one operation."""
    began = time.perf_counter()
    result = operation()
    return Times([time.perf_counter() - began], result)


def timed_each(operation: Callable[[Any], Any], items: Sequence[Any]) -> Times:
    """One repetition that does the same to many items."""
    clock = time.perf_counter
    seconds = []
    for item in items:
        began = clock()
        operation(item)
        seconds.append(clock() - began)
    return Times(seconds)


@dataclass
class _Child:
    way: Way
    stack: ExitStack
    times: list[Times] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    read_mb: float = 0.0

    def __post_init__(self) -> None:
        # Forked: the imports of all ways are loaded once, before the first of them.
        context = multiprocessing.get_context("fork")
        self._pipe, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, self.way), name=f"bench {self.name}"
        )
        self._process.start()
        other.close()
        self.stack.callback(self._end)

    @property
    def name(self) -> str:
        return self.way.name

    def ready(self) -> None:
        self._answer()

    def repeat(self, number: int) -> None:
        self._pipe.send(number)
        times, cpu_s, read_mb = self._answer()
        self.times.append(times)
        self.cpu_s.append(cpu_s)
        if number == 0:
            self.read_mb = max(read_mb, 0.0)  # pages of files may also have been let go

    def finish(self) -> Measured:
        self._pipe.send(None)
        peak_mb = self._answer()
        return Measured(self.times, self.cpu_s, self.read_mb, peak_mb)

    def _answer(self) -> Any:
        if not self._pipe.poll(_LIMIT_S):
            raise RuntimeError(f"{self.name} has given no answer for {_LIMIT_S:g} s.")
        try:
            kind, answer = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.name} ended early.") from None
        if kind == "error":
            raise RuntimeError(f"{self.name} failed: {answer}")
        return answer

    def _end(self) -> None:
        self._pipe.close()  # the child reads the end of its input
        self._process.join(timeout=10.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def _serve(pipe: Connection, way: Way) -> None:
    try:
        repetition = way.setup(*way.arguments)
        _forget_peak()
        pipe.send(("ready", None))
        while (number := pipe.recv()) is not None:
            cpu, read = _cpu_s(), _read_mb()
            times = repetition(number)
            pipe.send(("times", (times, _cpu_s() - cpu, _read_mb() - read)))
        pipe.send(("peak", _status_mb("VmHWM")))
    except EOFError:
        return
    except Exception as error:  # noqa: BLE001 - told to the parent, which raises
        pipe.send(("error", f"{type(error).__name__}: {error}"))


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
    """Let the peak begin at what is held now: `5` resets it (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
