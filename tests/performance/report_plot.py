"""A benchmark's figures as a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tests.performance.report_text import figure as three_digits

_BEFORE, _AFTER, _GOAL = "#9aa3ad", "#1769aa", "#c0392b"
_UNITS = (("s", 1e3), ("ms", 1.0), ("µs", 1e-3))


@dataclass(frozen=True)
class Pair:
    """One metric's time, that of its baseline and that which is the goal, in ms."""

    metric: str
    before_ms: float
    after_ms: float
    goal_ms: float | None = None


def plot_latencies(path: Path, title: str, samples: Mapping[str, Sequence[float]]) -> None:
    """How many requests were answered within which time."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, values in samples.items():
        ordered = np.sort(values)
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        axes.plot(ordered, share, label=f"{name} (p50 {np.median(ordered):.2f} ms)")
    axes.set_xscale("log")
    axes.set_xlabel("latency, ms")
    axes.set_ylabel("share of requests answered within")
    axes.set_title(f"{title}: latency")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def plot_pairs(path: Path, title: str, pairs: Sequence[Pair]) -> None:
    """Before and after as bars on a logarithmic scale, with the ratio and where the goal lies."""
    figure = Figure(figsize=(10, 1.5 + 0.5 * len(pairs)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = np.arange(len(pairs), dtype=np.float64)
    before, after = [pair.before_ms for pair in pairs], [pair.after_ms for pair in pairs]
    axes.barh(places - 0.2, before, height=0.38, color=_BEFORE, label="before: the baseline")
    axes.barh(places + 0.2, after, height=0.38, color=_AFTER, label="after: Tezi")
    goals = [(place, pair.goal_ms) for place, pair in enumerate(pairs) if pair.goal_ms]
    axes.plot(
        [goal for _, goal in goals],
        [place + 0.2 for place, _ in goals],
        marker="|",
        markersize=14,
        markeredgewidth=2.5,
        linestyle="none",
        color=_GOAL,
        label="goal: no longer than this",
    )
    for place, pair in enumerate(pairs):
        axes.annotate(
            f"{_time(pair.before_ms)} → {_time(pair.after_ms)}: "
            f"{three_digits(pair.before_ms / pair.after_ms)}x",
            (max(pair.before_ms, pair.after_ms), place - 0.2),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    axes.set_xscale("log")
    # Room on the right for the text of the longest bar.
    lowest, highest = min(after, default=1.0) / 2.0, max([*before, *after], default=1.0)
    axes.set_xlim(lowest, highest * (highest / lowest) ** 0.4)
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _time(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(places, [pair.metric for pair in pairs])
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.set_xlabel("time (logarithmic; shorter is better)")
    axes.set_title(f"{title}: before and after")
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=110)


def _time(ms: float) -> str:
    unit, size = next(((u, s) for u, s in _UNITS if ms >= s), _UNITS[-1])
    return f"{three_digits(ms / size)} {unit}"
