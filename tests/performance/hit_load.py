"""How many answers a second a gateway gives out of its memory, and whose time that takes."""

import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import uvloop

from tests.performance.feature_ways import Pair
from tests.performance.gateways import Gateways
from tests.performance.load import Load, rest_load
from tests.performance.row import Row

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class HitLoad:
    """Requests a second, and the seconds of CPU that gateways and load generator took of them."""

    load: Load
    gateway_s: float
    generator_s: float
    seconds: float

    def rows(self, goal: float) -> list[Row]:
        """The rate."""
        requests = len(self.load.latencies_ms)
        return [
            Row(
                "hits_per_second",
                self.load.rate,
                "/s",
                goal=goal,
                note="one gateway, 16 in flight, all held in its memory; a request takes "
                f"{self.gateway_s / requests * 1e6:.0f} µs of the gateway's processor time and "
                f"{self.generator_s / requests * 1e6:.0f} µs of the load generator's",
            )
        ]

    def findings(self) -> list[str]:
        """Where the time goes."""
        return [
            f"On hits the gateway's process was busy for {self.gateway_s / self.seconds:.0%} of a "
            f"core and the load generator's for {self.generator_s / self.seconds:.0%}; one event "
            f"loop that has a core to itself would give "
            f"{len(self.load.latencies_ms) / self.gateway_s:,.0f} answers a second at most."
        ]


def hit_load(
    running: Gateways, pairs: Sequence[Pair], *, in_flight: int, seconds: float
) -> HitLoad:
    """Ask one gateway for what it holds."""
    pid = running.gateway_pid()
    before, own, began = _cpu_s(pid), _own_cpu_s(), time.perf_counter()
    load = uvloop.run(rest_load(running.urls[0], cycle(pairs), in_flight, seconds))
    wall_s = time.perf_counter() - began
    return HitLoad(load, _cpu_s(pid) - before, _own_cpu_s() - own, wall_s)


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _cpu_s(pid: int) -> float:
    """Seconds of CPU of a process so far (proc(5), stat: the 14th and 15th field)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
