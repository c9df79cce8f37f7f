"""`python -m tests.performance scaling`: load through the autoscalers of config/kubernetes.

They do as Kubernetes documents it. Nothing is measured here: figures of a load test go in, and what
the policies make of them comes out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from preprocess.cli.progress import progress_bar
from tests.performance.report import Report
from tests.performance.report_grid import Grid
from tests.performance.report_text import figure
from tests.performance.row import Row
from tests.performance.scaling.curves import CURVES, DAY, RAMP, SPIKE, Curve
from tests.performance.scaling.plot import plot_replays
from tests.performance.scaling.replay import Replay, replay
from tests.performance.scaling.setups import CpuMs, Setup, knobs, setups
from tests.performance.scaling.tier import Cluster

PEAKS = (500, 5_000, 50_000)
GOAL_MS = 50.0
# What a request takes when nobody waits: REST, one at a time, `python -m tests.performance serve`.
BASE_MS = 2.03
# Of no provider: a round figure for a core-hour on demand, to turn hours into money.
DOLLARS_A_CORE_HOUR = 0.04
SEED = 0  # nothing is drawn

Key = tuple[str, int, str]


def run(
    *,
    quick: bool,
    command: str,
    cpu_ms_per_request: str = "",
    cluster: Cluster | None = None,
) -> Report:
    """Replay every curve at every peak under every setup; `quick` takes longer steps."""
    cpu = CpuMs.parse(cpu_ms_per_request) if cpu_ms_per_request else CpuMs()
    cluster = cluster or Cluster()
    longer = 6 if quick else 1
    curves = [replace(curve, step_s=curve.step_s * longer) for curve in CURVES]
    found: dict[Key, Replay] = {}
    plan = list(_plan(setups(cpu), curves))
    with progress_bar("replays") as advance:
        for done, (key, curve, setup) in enumerate(plan, start=1):
            found[key] = replay(curve, key[1], setup.parts, cluster, base_ms=BASE_MS)
            advance(done, len(plan))
    days = {curve.name: curve for curve in curves}
    turned = [
        (setup.name, replay(days[curve.name], PEAKS[-1], setup.parts, cluster, base_ms=BASE_MS))
        for setup in knobs(cpu)
        for curve in (SPIKE, DAY)
    ]
    return Report(
        name="scaling",
        command=command,
        seed=SEED,
        rows=list(_rows(found)),
        samples={},
        findings=list(_findings(found)),
        grids=[_all(found), _turned(turned)],
        settings={
            "gateway_cpu_ms": cpu.gateway,
            "triton_cpu_ms": cpu.triton,
            "cpu_source": cpu.source,
            "base_ms": BASE_MS,
            "metric_lag_s": cluster.lag_s,
            "metric_over_s": cluster.over_s,
            "dollars_a_core_hour": DOLLARS_A_CORE_HOUR,
        },
        draw=lambda path: _draw(path, found),
    )


def _plan(made: Mapping[str, Setup], curves: list[Curve]) -> Iterator[tuple[Key, Curve, Setup]]:
    for peak in PEAKS:
        for curve in curves:
            for name, setup in made.items():
                yield (name, peak, curve.name), curve, setup


def _setup_for(peak: int) -> str:
    return "large" if peak == PEAKS[-1] else "shipped"


def _rows(found: Mapping[Key, Replay]) -> Iterator[Row]:
    for peak in PEAKS:
        for curve in (RAMP, SPIKE, DAY):
            ours, first = (found[name, peak, curve.name] for name in (_setup_for(peak), "first"))
            metric = f"scaling_{peak}_{curve.name.replace(' ', '_')}"
            yield Row(
                f"{metric}_late",
                ours.late_s(GOAL_MS),
                "s",
                first.late_s(GOAL_MS),
                goal=0.0,
                note=f"{_setup_for(peak)}: seconds with p95 above {GOAL_MS:g} ms, or refusals",
            )
            yield Row(
                f"{metric}_core_hours",
                ours.core_hours,
                "core h",
                ours.static_core_hours,
                note="beside a cluster of fixed size for the peak",
            )


def _all(found: Mapping[Key, Replay]) -> Grid:
    heads = (
        *("requests/s", "curve", "setup", "most pods", "worst p95, ms", "late, s", "refused, %"),
        *("changes", "core h", "$"),
    )
    rows = [
        (f"{peak:,}", curve, name, *_cells(replayed))
        for (name, peak, curve), replayed in found.items()
    ]
    return Grid("Every replay", heads, rows)


def _turned(turned: list[tuple[str, Replay]]) -> Grid:
    heads = (
        *("large, but", "curve", "most pods", "worst p95, ms", "late, s", "refused, %"),
        *("changes", "core h", "$"),
    )
    rows = [(name, replayed.curve.name, *_cells(replayed)) for name, replayed in turned]
    return Grid(f"One thing different, at {PEAKS[-1]:,} requests/s", heads, rows)


def _cells(replayed: Replay) -> tuple[str, ...]:
    gateways, tritons = replayed.most_replicas
    return (
        f"{gateways} + {tritons}",
        figure(replayed.worst_p95_ms),
        f"{replayed.late_s(GOAL_MS):,.0f}",
        figure(100 * replayed.refused_share),
        str(replayed.changes),
        figure(replayed.core_hours),
        figure(replayed.core_hours * DOLLARS_A_CORE_HOUR),
    )


def _findings(found: Mapping[Key, Replay]) -> Iterator[str]:
    for peak in PEAKS:
        name = _setup_for(peak)
        spike, day = (found[name, peak, curve.name] for curve in (SPIKE, DAY))
        refused = figure(100 * spike.refused_share)
        overlay = "large" if name == "large" else "cpu"
        share = day.core_hours / day.static_core_hours
        yield (
            f"{peak:,} requests/s with the overlay {overlay}: a spike within 30 s is late for "
            f"{spike.late_s(GOAL_MS):,.0f} s and refuses {refused} % of its requests; a trading "
            f"day is late for {day.late_s(GOAL_MS):,.0f} s and costs {share:.0%} of a cluster of "
            "fixed size."
        )


def _draw(path: Path, found: Mapping[Key, Replay]) -> None:
    columns = {
        f"{peak:,}/s, {curve.name}": [
            (name, found[name, peak, curve.name]) for name in ("first", "shipped", "large")
        ]
        for peak, curve in ((5_000, RAMP), (5_000, SPIKE), (50_000, SPIKE), (50_000, DAY))
    }
    plot_replays(path, columns)
