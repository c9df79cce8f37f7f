"""What every process of a stack takes: CPU, memory, open files, once a second."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import numpy as np
import psutil

from preprocess.market.values import Floats

_MB = 1e6
_INTERVAL_S = 1.0

# The first that is found in a command line says what a process is.
_KINDS = (
    ("triton_python_backend_stub", "triton"),
    ("tritonserver", "triton"),
    ("nginx", "nginx"),
    ("redis-server", "redis"),
    ("gateway", "gateway"),
)


@dataclass
class Usage:
    """What the processes of one component take: CPU seconds so far, MB of memory, open files.

    Connections are among the open files. Memory is what a process has for itself: neither pages of
    files nor regions that it shares, so that nothing is counted twice.
    """

    cpu_s: float = 0.0
    memory_mb: float = 0.0
    open_files: int = 0


@dataclass(frozen=True)
class Sample:
    """All components at a moment of time.monotonic, and the MB sent over all interfaces so far.

    Linux does not count the network by process.
    """

    at: float
    used: Mapping[str, Usage]
    sent_mb: float


@dataclass
class Samples:
    """All samples, and the component of each process."""

    taken: list[Sample] = field(default_factory=list)
    components: dict[int, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The components."""
        return sorted({*self.components.values()})

    @property
    def moments(self) -> Floats:
        """When samples were taken, float64 [n]."""
        return np.array([sample.at for sample in self.taken])

    def cpu_s(self, component: str) -> Floats:
        """CPU seconds of a component so far at each moment, float64 [n]."""
        return self._of(component, "cpu_s")

    def memory_mb(self, component: str) -> Floats:
        """MB of a component at each moment, float64 [n]; `all` is all but the load generator."""
        if component != "all":
            return self._of(component, "memory_mb")
        total: Floats = np.zeros(len(self.taken))
        for name in self.names:
            if name != "generator":
                total = total + self._of(name, "memory_mb")
        return total

    def open_files(self, component: str) -> Floats:
        """Open files of a component at each moment, float64 [n]."""
        return self._of(component, "open_files")

    def cores(self, component: str, begin: float, end: float) -> float:
        """How many cores a component used on average between two moments."""
        used = np.interp((begin, end), self.moments, self.cpu_s(component))
        return float(used[1] - used[0]) / (end - begin)

    def sent_mb_s(self, begin: float, end: float) -> float:
        """MB a second over all interfaces between two moments."""
        sent = np.interp((begin, end), self.moments, [sample.sent_mb for sample in self.taken])
        return float(sent[1] - sent[0]) / (end - begin)

    def _of(self, component: str, name: str) -> Floats:
        nothing = Usage()
        return np.array([float(getattr(s.used.get(component, nothing), name)) for s in self.taken])


@contextmanager
def sampling(roots: Mapping[str, int]) -> Iterator[Samples]:
    """Sample the processes of these ids and all their children until the block ends.

    The name of a root is that of its own process; children are named by what they run.
    """
    found, over = Samples(), threading.Event()
    thread = threading.Thread(target=_sample, args=(roots, found, over), name="samples")
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def component_of(command: Sequence[str]) -> str:
    """What a process is by its command line; empty if it is nothing that serves."""
    text = " ".join(command)
    return next((component for word, component in _KINDS if word in text), "")


def _sample(roots: Mapping[str, int], found: Samples, over: threading.Event) -> None:
    known: dict[int, psutil.Process] = {}
    cpu_s: dict[int, float] = {}  # what a process that has ended took stays counted
    due = time.monotonic()
    while True:
        for name, pid in roots.items():
            with suppress(psutil.NoSuchProcess):
                root = psutil.Process(pid)
                for process in (root, *root.children(recursive=True)):
                    if process.pid not in known:
                        kind = "" if process is root else component_of(process.cmdline())
                        found.components[process.pid] = kind or name
                        known[process.pid] = process
        used: dict[str, Usage] = {}
        for pid, process in known.items():
            usage = used.setdefault(found.components[pid], Usage())
            with suppress(psutil.NoSuchProcess), process.oneshot():
                times, memory = process.cpu_times(), process.memory_info()
                cpu_s[pid] = times.user + times.system
                usage.memory_mb += (memory.rss - memory.shared) / _MB
                usage.open_files += process.num_fds()
            usage.cpu_s += cpu_s.get(pid, 0.0)
        sent_mb = psutil.net_io_counters().bytes_sent / _MB
        found.taken.append(Sample(time.monotonic(), used, sent_mb))
        due += _INTERVAL_S
        if over.wait(max(0.0, due - time.monotonic())):
            return
