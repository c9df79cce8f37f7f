"""What is made of latencies, memory and answers: seconds, recovery, growth, goals, truth."""

from collections.abc import Mapping

import numpy as np

from preprocess.market.values import Floats
from preprocess.repository.stable import stable_version
from preprocess.settings import Settings
from tests.performance.load_test.worker import Outcome
from tests.performance.open_loop import Answer, Request
from tests.performance.pairs import Pair
from tests.performance.report_text import Grid, figure
from tests.performance.row import Row
from tests.performance.version_answers import VersionAnswers

# Asked for at the start, and what Tezi holds itself to, in the metric's unit.
GOALS: dict[str, tuple[float | None, float]] = {
    "steady_p95": (50.0, 5.0),
    "steady_p99": (None, 15.0),
    "steady_errors": (None, 0.0),
    "spike_p95": (None, 20.0),
    "spike_errors": (None, 0.0),
    "spike_recovery": (45.0, 2.0),
    "sustained_p95": (100.0, 10.0),
    "sustained_p99": (None, 25.0),
    "sustained_errors": (None, 0.0),
    "sustained_error_share": (0.05, 0.0),
    "max_rate": (500.0, 2_000.0),
    "max_rate_cold": (None, 1_000.0),
    "wrong_answers": (None, 0.0),
    "sustained_hit_rate": (0.6, 0.6),
}
FLAT_SHARE = 0.02
"""Memory that grows by less than this share of itself in an hour is flat."""

_BLOCK_S, _FEWEST_BLOCKS = 10.0, 8


def recovery_s(outcome: Outcome, top_s: float, bound_ms: float) -> float:
    """From the top of a load until answers are within a bound, and stay so.

    The end of the last second after `top_s` with a failure or a p95 above the bound, counted from
    `top_s`; 0 if there was none. A request belongs to the second in which it was due.
    """
    seconds, begins = np.unique(np.floor(outcome.due_s), return_index=True)
    p95 = np.array([np.percentile(part, 95) for part in np.split(outcome.latency_ms, begins[1:])])
    failed = np.logical_or.reduceat(outcome.failed, begins)
    bad = seconds[((p95 > bound_ms) | failed) & (seconds >= np.floor(top_s))]
    return float(bad[-1] + 1 - top_s) if len(bad) else 0.0


def growth_per_hour(seconds: Floats, values: Floats) -> float | None:
    """How much values grow an hour; None in less than 80 s, where noise would say more than they.

    The median of the slopes between any two blocks of ten seconds (Theil and Sen), so that a burst
    bends nothing. A block counts with its median.
    """
    if not len(seconds):
        return None
    blocks = (seconds - seconds[0]) // _BLOCK_S
    known = np.unique(blocks)
    if len(known) < _FEWEST_BLOCKS:
        return None
    level = np.array([np.median(values[blocks == block]) for block in known])
    first, second = np.triu_indices(len(known), 1)
    slopes = (level[second] - level[first]) / ((known[second] - known[first]) * _BLOCK_S)
    return float(np.median(slopes)) * 3600.0


def row(metric: str, value: float | None, unit: str, note: str = "") -> Row:
    """The row of a metric, with our goal if it has one."""
    goal = GOALS[metric][1] if metric in GOALS else None
    return Row(metric, value, unit, goal=goal, note=note)


def verdicts(rows: list[Row]) -> Grid:
    """PASS or FAIL of each metric that has a goal, against both columns."""
    lines = []
    for one in rows:
        if one.goal is None:
            continue
        asked = GOALS.get(one.metric, (None, None))[0]
        value = "not measured" if one.value is None else figure(one.value)
        judged = (figure(asked), _verdict(one, asked), figure(one.goal), _verdict(one, one.goal))
        lines.append([f"{one.metric}, {one.unit}", value, *judged])
    return Grid("Goals", ("metric", "value", "asked for", "", "ours", ""), lines)


def _verdict(found: Row, goal: float | None) -> str:
    if goal is None:
        return ""
    met = Row(found.metric, found.value, found.unit, goal=goal).met
    return {True: "PASS", False: "FAIL", None: "not measured"}[met]


def wrong_answers(settings: Settings, seen: Mapping[Pair, tuple[float, float]]) -> tuple[int, int]:
    """Compare what was answered with what the stable version says without any server.

    Returns how many questions were looked at, and to how many a wrong probability was answered.
    """
    model_id = stable_version(settings.versions_dir).model_id
    expected = VersionAnswers(settings, [Request(*pair) for pair in seen], {model_id})
    wrong = sum(
        not all(
            expected.is_right(Answer(Request(*pair), 0.0, 0.0, 200, probability=one), model_id)
            for one in answered
        )
        for pair, answered in seen.items()
    )
    return len(seen), wrong
