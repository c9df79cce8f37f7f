"""Load, replicas and latency over time: a column for each curve, a colour for each setup."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.performance.scaling.replay import Replay

_COLOURS = ("#9aa3ad", "#1769aa", "#c0392b")
_POINTS = 600


def plot_replays(path: Path, columns: Mapping[str, Sequence[tuple[str, Replay]]]) -> None:
    """Write the picture; each column holds the same load under several setups."""
    figure = Figure(figsize=(5.0 * len(columns), 9.0), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(4, len(columns), sharex="col", squeeze=False)
    for place, (title, replays) in enumerate(columns.items()):
        load, gateways, tritons, latency = grid[:, place]
        for (name, replay), colour in zip(replays, _COLOURS, strict=False):
            every = max(1, len(replay.steps) // _POINTS)
            minutes = np.array(replay.times_s[::every]) / 60
            steps = replay.steps[::every]
            if name == replays[0][0]:
                load.plot(minutes, [gateway.offered for gateway, _ in steps], color="black")
            gateways.plot(minutes, [gateway.replicas for gateway, _ in steps], color=colour)
            tritons.plot(minutes, [triton.replicas for _, triton in steps], color=colour)
            # The worst of each stretch: a thinned line would leave out what matters.
            every_p95 = replay.p95_ms
            p95 = [max(every_p95[at : at + every]) for at in range(0, len(every_p95), every)]
            latency.plot(minutes, p95, color=colour, label=name)
        load.set_title(title)
        latency.set_yscale("log")
        latency.set_ylim(1, 3000)
        latency.axhline(50, color="#888888", linewidth=0.8, linestyle=":")
        latency.set_xlabel("minutes")
        latency.legend(loc="upper right", fontsize=8)
        for axes, label in zip(
            (load, gateways, tritons, latency),
            ("requests/s", "gateway pods", "Triton pods", "p95, ms"),
            strict=True,
        ):
            axes.grid(visible=True, alpha=0.3)
            if place == 0:
                axes.set_ylabel(label)
    figure.savefig(path, dpi=110)
