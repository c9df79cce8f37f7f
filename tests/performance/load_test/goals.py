"""What a load test must reach: what was asked for at the start, and what Tezi holds itself to."""

from dataclasses import dataclass

from tests.performance.report_grid import Grid
from tests.performance.report_text import figure
from tests.performance.row import Row


@dataclass(frozen=True)
class Goal:
    """Goals of one metric in its unit; None where nothing was asked for."""

    asked_for: float | None = None
    ours: float | None = None


GOALS = {
    "steady_p95": Goal(50.0, 5.0),
    "steady_p99": Goal(ours=15.0),
    "steady_errors": Goal(ours=0.0),
    "spike_p95": Goal(ours=20.0),
    "spike_errors": Goal(ours=0.0),
    "spike_recovery": Goal(45.0, 2.0),
    "sustained_p95": Goal(100.0, 10.0),
    "sustained_p99": Goal(ours=25.0),
    "sustained_errors": Goal(ours=0.0),
    "sustained_error_share": Goal(0.05, 0.0),
    "max_rate": Goal(500.0, 2_000.0),
    "max_rate_cold": Goal(ours=800.0),
    "wrong_answers": Goal(ours=0.0),
    "sustained_hit_rate": Goal(0.6, 0.6),
}


def row(metric: str, value: float | None, unit: str, note: str = "") -> Row:
    """The row of a metric, with our goal if it has one."""
    return Row(metric, value, unit, goal=GOALS.get(metric, Goal()).ours, note=note)


def verdicts(rows: list[Row]) -> Grid:
    """PASS or FAIL of each metric that has a goal, against both columns."""
    lines = []
    for one in rows:
        asked = GOALS.get(one.metric, Goal()).asked_for
        if one.goal is None and asked is None:
            continue
        value = "not measured" if one.value is None else figure(one.value)
        lines.append(
            [
                f"{one.metric}, {one.unit}",
                value,
                figure(asked),
                _verdict(one, asked),
                figure(one.goal),
                _verdict(one, one.goal),
            ]
        )
    heads = ("metric", "value", "asked for", "", "ours", "")
    return Grid("Goals", heads, lines)


def _verdict(found: Row, goal: float | None) -> str:
    if goal is None:
        return ""
    met = Row(found.metric, found.value, found.unit, goal=goal).met
    return {True: "PASS", False: "FAIL", None: "not measured"}[met]
