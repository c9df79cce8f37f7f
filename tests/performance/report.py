"""What every benchmark prints and writes: machine, versions, seed, rows with ratios and goals."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.performance.machine import machine, versions
from tests.performance.report_text import Grid, figure, markdown_table
from tests.performance.row import Row

QUANTILES = (50, 90, 95, 99, 99.9)


@dataclass(frozen=True)
class Report:
    """A benchmark's outcome.

    `samples` are times in ms, by metric or by way; `plot` is what is drawn: how they are spread,
    or each metric's ratio to its baseline. `findings` are sentences listed below the table,
    `grids` further tables.
    """

    name: str
    command: str
    seed: int
    rows: Sequence[Row]
    samples: Mapping[str, Sequence[float]]
    plot: Literal["latencies", "pairs"] = "latencies"
    findings: Sequence[str] = ()
    grids: Sequence[Grid] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON for scripts."""
        return {
            "name": self.name,
            "machine": machine(),
            "versions": versions(),
            "seed": self.seed,
            "command": self.command,
            "settings": dict(self.settings),
            "rows": [{**asdict(row), "ratio": row.ratio, "met": row.met} for row in self.rows],
            "percentiles_ms": {
                name: {f"p{q:g}": float(np.percentile(values, q)) for q in QUANTILES}
                for name, values in self.samples.items()
            },
            "findings": list(self.findings),
            "grids": [asdict(grid) for grid in self.grids],
        }

    def write(self, path: Path) -> None:
        """Write the JSON, and next to it a plot and the table as Markdown."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.document(), indent=2) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(self.markdown(), encoding="utf-8")
        draw = self._draw_latencies if self.plot == "latencies" else self._draw_pairs
        draw(path.with_suffix(".png"))

    def markdown(self) -> str:
        """The table with what it was measured on, as Markdown."""
        parts = [f"`{self.command}`, seed {self.seed}.", *self._facts()]
        parts.append(markdown_table(self.rows, self.samples))
        parts += [grid.markdown() for grid in self.grids]
        items = list(self.findings)
        for name in sorted(self.samples.keys() - {row.metric for row in self.rows}):
            values = self.samples[name]
            quantiles = [f"p{q:g} {figure(float(np.percentile(values, q)))}" for q in QUANTILES]
            items.append(f"{name}, ms: {', '.join(quantiles)} (n = {len(values)})")
        if items:
            parts.append("\n".join(f"- {item}" for item in items))
        return "\n\n".join(parts) + "\n"

    def _facts(self) -> list[str]:
        return [
            ", ".join(f"{key} {value}" for key, value in part.items())
            for part in (machine(), versions(), self.settings)
            if part
        ]

    def _draw_latencies(self, path: Path) -> None:
        """How many requests were answered within which time."""
        plot = _canvas(f"{self.name}: share of requests answered within")
        axes = plot.subplots()
        for name, values in self.samples.items():
            axes.ecdf(values, label=f"{name} (p50 {np.median(values):.3g} ms)")
        axes.set_xscale("log")
        axes.set_xlabel("latency, ms")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
        plot.savefig(path, dpi=110)

    def _draw_pairs(self, path: Path) -> None:
        """How many times better than the baseline each row is, and what its goal asks for."""
        rows = [row for row in self.rows if row.ratio]
        names = [row.metric for row in rows]
        plot = _canvas(
            f"{self.name}: times better than the baseline", height=1.5 + 0.35 * len(rows)
        )
        axes = plot.subplots()
        bars = axes.barh(names, [row.ratio or 1.0 for row in rows], label="Tezi")
        axes.bar_label(bars, [f"{figure(row.ratio)}x" for row in rows], padding=3)
        goals = [(row.goal_ratio, row.metric) for row in rows if row.goal_ratio]
        if goals:
            axes.plot(*zip(*goals, strict=True), "r|", markersize=14, label="goal")
        axes.axvline(1.0, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.legend()
        plot.savefig(path, dpi=110)


def _canvas(title: str, height: float = 4.5) -> Figure:
    plot = Figure(figsize=(9, height), layout="constrained")
    FigureCanvasAgg(plot)
    plot.suptitle(title)
    return plot
