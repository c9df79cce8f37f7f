"""The configurations that are replayed, and what a request costs them in CPU."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from preprocess.errors import TeziError
from tests.performance.scaling.policy import (
    Policy,
    asked_cores,
    shipped,
    shipped_large,
    shipped_queue_time,
)
from tests.performance.scaling.tier import Part

# One event loop uses one core; Triton is taken for one that is given two.
GATEWAY_CORES, TRITON_CORES = 1, 2
# From the decision to readiness, the image being on the node and the node being there.
GATEWAY_START_S, TRITON_START_S = 15.0, 45.0

_METRICS = ("gateway_cpu_ms_per_request", "triton_cpu_ms_per_request")


@dataclass(frozen=True)
class CpuMs:
    """Milliseconds of CPU that one request takes of each tier, and where the figures are from.

    The default was measured on the two-core machine on 2026-11-25 by the CPU time of the processes
    of `tezi up`, cold, four requests in flight. Alone a request takes 0.65 and 1.13 ms; with 16 in
    flight, when many share a passage, 0.27 and 0.19.
    """

    gateway: float = 0.49
    triton: float = 0.78
    source: str = "measured at 4 in flight, cold"

    @classmethod
    def parse(cls, text: str) -> "CpuMs":
        """From "GATEWAY,TRITON".

        Raises:
            TeziError: it is not two positive numbers.
        """
        try:
            gateway, triton = (float(word) for word in text.split(","))
        except ValueError:
            gateway = triton = 0.0
        if not (0 < gateway < 1e3 and 0 < triton < 1e3):
            raise TeziError(
                f"CPU per request is GATEWAY,TRITON in milliseconds, as in 0.49,0.78: not {text!r}."
            )
        return cls(gateway, triton, "given")

    @classmethod
    def of_report(cls, path: Path) -> "CpuMs":
        """From the rows of a load report that tell the CPU of each tier.

        Raises:
            TeziError: there is no such file, it does not tell, or caches held everything.
        """
        try:
            rows = json.loads(path.read_text("utf-8"))["rows"]
            found = {row["metric"]: row["value"] for row in rows}
            gateway, triton = (float(found[metric]) for metric in _METRICS)
        except (OSError, ValueError, KeyError, TypeError):
            raise TeziError(
                f"{path} is no report with the rows {' and '.join(_METRICS)}: make it with "
                "`tezi bench load`, or give --cpu-ms-per-request."
            ) from None
        if min(gateway, triton) <= 0.0:
            raise TeziError(
                f"{path} says that a request took nothing of a tier: caches held every prediction. "
                "Give --cpu-ms-per-request, with what `tezi bench serve` prints."
            )
        return cls(gateway, triton, path.name)


@dataclass(frozen=True)
class Setup:
    """A configuration under a name."""

    name: str
    parts: tuple[Part, Part]


def setups(cpu: CpuMs) -> dict[str, Setup]:
    """`first`: pods that ask for all that they can use; `shipped`: the overlay cpu; `large`."""
    gateway, triton = shipped("gateway"), shipped("triton")
    whole = (float(GATEWAY_CORES), float(TRITON_CORES))
    return {
        "first": _setup("first", cpu, gateway, triton, asked=whole),
        "shipped": _setup("shipped", cpu, gateway, triton),
        "large": _setup("large", cpu, shipped_large("gateway"), shipped_large("triton")),
    }


def knobs(cpu: CpuMs) -> list[Setup]:
    """`large` with one thing different in each."""
    gateway, triton = shipped_large("gateway"), shipped_large("triton")
    large = _setup("large", cpu, gateway, triton)
    queue = shipped_queue_time().between(triton.minimum, triton.maximum)
    slow = tuple(
        replace(part, start_s=seconds)
        for part, seconds in zip(large.parts, (60.0, 120.0), strict=True)
    )
    at_once = tuple(replace(each, up=replace(each.up, window_s=0)) for each in (gateway, triton))
    whole = (float(GATEWAY_CORES), float(TRITON_CORES))
    return [
        large,
        _setup("asks for whole cores", cpu, gateway, triton, asked=whole),
        _setup("adds pods at once, not after 120 s", cpu, at_once[0], at_once[1]),
        Setup("pods need 60 s and 120 s to start", (slow[0], slow[1])),
        _setup("Triton by queue time and CPU", cpu, gateway, queue),
        _setup("Triton by queue time alone", cpu, gateway, replace(queue, cpu_target=None)),
        _setup("2 and 2 at least", cpu, gateway.between(2, 80), triton.between(2, 80)),
        _setup("30 and 24 at least", cpu, gateway.between(30, 80), triton.between(24, 80)),
    ]


def _setup(
    name: str,
    cpu: CpuMs,
    gateway: Policy,
    triton: Policy,
    *,
    asked: tuple[float, float] | None = None,
) -> Setup:
    first, second = asked or (asked_cores("gateway"), asked_cores("triton"))
    return Setup(
        name,
        (
            Part("gateway", gateway, cpu.gateway, GATEWAY_CORES, first, GATEWAY_START_S),
            Part("triton", triton, cpu.triton, TRITON_CORES, second, TRITON_START_S),
        ),
    )
