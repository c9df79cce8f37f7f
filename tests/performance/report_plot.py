"""A benchmark's figures as a plot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_BEFORE, _AFTER, _GOAL = "#9aa3ad", "#1769aa", "#c0392b"


@dataclass(frozen=True)
class Pair:
    """One metric's time and that of its baseline, in ms."""

    metric: str
    before_ms: float
    after_ms: float
    goal_ratio: float | None = None


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
    figure = Figure(figsize=(9, 1.4 + 0.52 * len(pairs)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = np.arange(len(pairs), dtype=np.float64)
    before, after = [p.before_ms for p in pairs], [p.after_ms for p in pairs]
    axes.barh(places - 0.2, before, height=0.38, color=_BEFORE, label="before (naive)")
    axes.barh(places + 0.2, after, height=0.38, color=_AFTER, label="after (Tezi)")
    goals = [(place, pair) for place, pair in zip(places, pairs, strict=True) if pair.goal_ratio]
    axes.plot(
        [pair.before_ms / (pair.goal_ratio or 1.0) for _, pair in goals],
        [place + 0.2 for place, _ in goals],
        marker="|",
        markersize=14,
        markeredgewidth=2.5,
        linestyle="none",
        color=_GOAL,
        label="goal: at most",
    )
    axes.set_xscale("log")
    lowest, highest = min(after, default=1.0), max([*before, *after], default=1.0)
    axes.set_xlim(lowest / 3.0, highest * 30.0)
    for place, pair in zip(places, pairs, strict=True):
        axes.annotate(
            f"{_time(pair.before_ms)} → {_time(pair.after_ms)}: "
            f"{pair.before_ms / pair.after_ms:,.3g}x",
            (max(pair.before_ms, pair.after_ms), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    axes.set_yticks(places, [pair.metric for pair in pairs])
    axes.invert_yaxis()
    axes.set_xlabel("time, ms (logarithmic; shorter is better)")
    axes.set_title(f"{title}: before and after")
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=120)


def _time(ms: float) -> str:
    for unit, size in (("s", 1e3), ("ms", 1.0)):
        if ms >= size:
            return f"{ms / size:.3g} {unit}"
    return f"{ms * 1e3:.3g} µs"
