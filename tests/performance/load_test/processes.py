"""What every process of a stack takes: CPU, memory, connections, once a second."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import psutil

from preprocess.market import Floats
from tests.performance.load_test.beside import beside

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


@dataclass(frozen=True)
class Sample:
    """One process in one second: its CPU seconds so far, MB of memory, open files.

    Connections are among the open files. Memory is what a process has for itself: neither pages of
    files nor regions that it shares, so that nothing is counted twice.
    """

    at: float
    cpu_s: float
    memory_mb: float
    open_files: int


@dataclass(frozen=True)
class Network:
    """Bytes that went over the machine's interfaces so far; Linux counts none by process."""

    at: float
    sent: int
    received: int


@dataclass
class Samples:
    """All that was sampled: by component and process, and of the network."""

    by_process: dict[tuple[str, int], list[Sample]] = field(default_factory=dict)
    network: list[Network] = field(default_factory=list)

    @property
    def components(self) -> list[str]:
        """Their names."""
        return sorted({component for component, _ in self.by_process})

    def cpu_s(self, component: str, begin: float, end: float) -> float:
        """Seconds of CPU of a component's processes between two moments of time.monotonic."""
        return sum(_at(samples, end) - _at(samples, begin) for samples in self._of(component))

    def moments(self) -> Floats:
        """When was sampled, by time.monotonic, float64 [n]."""
        return np.array([network.at for network in self.network])

    def memory_mb(self, component: str | None = None) -> Floats:
        """MB at each of `moments`, of one component or of all but the load generator."""
        wanted = self.components if component is None else [component]
        total = np.zeros(len(self.network))
        for name in wanted:
            if component is None and name == "generator":
                continue
            for samples in self._of(name):
                at = [sample.at for sample in samples]
                held = [sample.memory_mb for sample in samples]
                # A process that is not sampled for two intervals is gone.
                at.append(at[-1] + 2 * _INTERVAL_S)
                held.append(held[-1])
                total += np.interp(self.moments(), at, held, left=0.0, right=0.0)
        return total

    def cpu_share(self, component: str) -> tuple[Floats, Floats]:
        """Cores in use over each interval between two moments, and the end of each."""
        moments = self.moments()
        total = np.zeros(max(0, len(moments) - 1))
        for samples in self._of(component):
            used = np.interp(moments, [s.at for s in samples], [s.cpu_s for s in samples])
            total += np.diff(used)
        return moments[1:], total / np.diff(moments)

    def most_open_files(self, component: str) -> int:
        """Open files of a component's processes, each at its most."""
        return sum(max(one.open_files for one in samples) for samples in self._of(component))

    def network_mb_s(self) -> tuple[Floats, Floats]:
        """MB a second over the interfaces, and the end of each interval."""
        moments = self.moments()
        sent = np.array([network.sent for network in self.network], dtype=np.float64)
        return moments[1:], np.diff(sent) / np.diff(moments) / _MB

    def _of(self, component: str) -> Iterator[Sequence[Sample]]:
        for (name, _), samples in self.by_process.items():
            if name == component:
                yield samples


def _at(samples: Sequence[Sample], moment: float) -> float:
    return float(np.interp(moment, [s.at for s in samples], [s.cpu_s for s in samples]))


@contextmanager
def sampling(roots: Mapping[str, int]) -> Iterator[Samples]:
    """Sample the processes of these ids and all their children until the block ends.

    The name of a root is that of its own process; children are named by what they run.
    """
    found = Samples()
    with beside(partial(_sample, roots, found), "samples"):
        yield found


def _sample(roots: Mapping[str, int], found: Samples, over: threading.Event) -> None:
    known: dict[int, tuple[str, psutil.Process]] = {}
    due = time.monotonic()
    while True:
        for name, pid in roots.items():
            with suppress(psutil.NoSuchProcess):
                root = psutil.Process(pid)
                known.setdefault(pid, (name, root))
                for child in root.children(recursive=True):
                    if child.pid not in known:
                        known[child.pid] = (component_of(child.cmdline()) or name, child)
        for pid, (name, process) in list(known.items()):
            try:
                sample = _of_process(process)
            except psutil.NoSuchProcess:
                del known[pid]
            else:
                found.by_process.setdefault((name, pid), []).append(sample)
        counters = psutil.net_io_counters()
        found.network.append(Network(time.monotonic(), counters.bytes_sent, counters.bytes_recv))
        due += _INTERVAL_S
        if over.wait(max(0.0, due - time.monotonic())):
            return


def component_of(command: Sequence[str]) -> str:
    """What a process is by its command line; empty if it is nothing that serves."""
    text = " ".join(command)
    return next((component for word, component in _KINDS if word in text), "")


def _of_process(process: psutil.Process) -> Sample:
    with process.oneshot():
        times = process.cpu_times()
        memory = process.memory_info()
        return Sample(
            time.monotonic(),
            times.user + times.system,
            (memory.rss - memory.shared) / _MB,
            process.num_fds(),
        )
