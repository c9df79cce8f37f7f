"""Load up to 50,000 requests a second through the autoscalers of config/kubernetes.

Nothing is measured here: milliseconds of CPU a request go in, and what the policies make of them
comes out. docs/scaling.md says what is assumed.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from preprocess.errors import TeziError
from tests.performance.report import Report
from tests.performance.report_text import Grid, figure
from tests.performance.row import Row
from tests.performance.scaling import BASE_MS, DAY, GOAL_MS, RAMP, SPIKE, Replay, replay, shipped

PEAKS = (500, 5_000, 50_000)
CPU_MS = "0.49,0.78"
"""Gateway and Triton, cold, four in flight over gRPC."""

_HEADS = ("most pods", "worst p95, ms", "late, s", "refused, %", "changes", "core h (fixed)")


def run(*, quick: bool, command: str, cpu_ms_per_request: str = CPU_MS) -> Report:
    """Replay every curve at every peak under every setup; `quick` takes longer steps."""
    cpu_ms = parse_cpu_ms(cpu_ms_per_request)
    step = 6 if quick else 1
    curves = [replace(curve, step_s=curve.step_s * step) for curve in (RAMP, SPIKE, DAY)]
    cpu, large = shipped(cpu_ms), shipped(cpu_ms, overlay="large")
    # `first` is the policy with pods that ask for all that they can use.
    first = [replace(part, requested=float(part.cores)) for part in cpu]
    found = {
        (peak, curve.name, name): replay(curve, peak, parts)
        for peak in PEAKS
        for curve in curves
        for name, parts in {"first": first, "cpu": cpu, "large": large}.items()
    }
    knobs = {
        "pods ask for whole cores": [replace(part, requested=float(part.cores)) for part in large],
        "pods are added at once": [replace(p, up=replace(p.up, window_s=0)) for p in large],
        "pods need 60 s and 120 s to start": [
            replace(part, start_s=seconds)
            for part, seconds in zip(large, (60.0, 120.0), strict=True)
        ],
        "2 + 2 pods at rest": [replace(part, minimum=2) for part in large],
        "30 + 24 pods at rest": [
            replace(part, minimum=number) for part, number in zip(large, (30, 24), strict=True)
        ],
    }
    turned = [
        [name, curve.name, *_cells(replay(curve, PEAKS[-1], parts))]
        for name, parts in knobs.items()
        for curve in curves[1:]
    ]
    lines = [[f"{peak:,}", curve, name, *_cells(one)] for (peak, curve, name), one in found.items()]
    return Report(
        name="scaling",
        command=command,
        seed=0,  # nothing is drawn
        rows=_rows(found),
        samples={},
        grids=[
            Grid("Every replay", ("requests/s", "curve", "setup", *_HEADS), lines),
            Grid("One thing different, large at 50,000 requests/s", ("", "curve", *_HEADS), turned),
        ],
        settings={"cpu_ms_per_request": cpu_ms_per_request, "base_ms": BASE_MS},
        plot="pairs",
    )


def parse_cpu_ms(text: str) -> list[float]:
    """Two positive numbers from "GATEWAY,TRITON".

    Raises:
        TeziError: it is something else.
    """
    try:
        gateway, triton = (float(word) for word in text.split(","))
    except ValueError:
        gateway = triton = 0.0
    if not (0 < gateway < 1e3 and 0 < triton < 1e3):
        raise TeziError(f"CPU per request is GATEWAY,TRITON in ms, as in {CPU_MS}: not {text!r}.")
    return [gateway, triton]


def _rows(found: Mapping[tuple[int, str, str], Replay]) -> list[Row]:
    """Seconds that are late, against the first policy, and core hours, against a fixed cluster."""
    rows = []
    for (peak, curve, name), ours in found.items():
        if name != ("large" if peak == PEAKS[-1] else "cpu"):
            continue
        metric = f"scaling_{peak}_{curve.replace(' ', '_')}"
        first = found[peak, curve, "first"].late_s
        note = f"seconds with p95 above {GOAL_MS:g} ms, or refusals"
        rows.append(Row(f"{metric}_late", ours.late_s, "s", first, goal=0.0, note=note))
        hours, fixed = ours.core_hours, ours.fixed_core_hours
        rows.append(Row(f"{metric}_core_hours", hours, "core h", fixed))
    return rows


def _cells(one: Replay) -> list[str]:
    gateways, tritons = one.pods.max(axis=0)
    worst = one.p95_ms[60 // one.curve.step_s :].max()
    return [
        f"{gateways:.0f} + {tritons:.0f}",
        figure(float(worst)),
        f"{one.late_s:,.0f}",
        figure(float(100 * one.refused.sum() / one.offered.sum())),
        str(int((np.diff(one.pods, axis=0) != 0).sum())),
        f"{figure(one.core_hours)} ({figure(one.fixed_core_hours)})",
    ]
