"""What every benchmark prints and writes: machine, versions, seed, rows with ratios and goals."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

_PACKAGES = ("numpy", "onnxruntime", "xgboost-cpu", "starlette", "uvicorn", "tritonclient")
_SMALLER_IS_BETTER = ("ms", "s", "MB")


@dataclass(frozen=True)
class Row:
    """One metric: its value, the baseline of the same run, and the goal if there is one."""

    metric: str
    value: float
    unit: str
    baseline: float | None = None
    goal: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times better than the baseline; above 1 is better."""
        if not self.baseline or not self.value:
            return None
        if self.unit in _SMALLER_IS_BETTER:
            return self.baseline / self.value
        return self.value / self.baseline

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        if self.unit in _SMALLER_IS_BETTER:
            return self.value <= self.goal
        return self.value >= self.goal


@dataclass(frozen=True)
class Report:
    """A benchmark's outcome."""

    name: str
    command: str
    seed: int
    rows: Sequence[Row]
    samples: dict[str, list[float]]

    def document(self) -> dict[str, Any]:
        """As JSON for scripts."""
        return {
            "name": self.name,
            "machine": machine(),
            "versions": {name: version(name) for name in _PACKAGES},
            "seed": self.seed,
            "command": self.command,
            "rows": [{**asdict(row), "ratio": row.ratio, "met": row.met} for row in self.rows],
            "percentiles_ms": {
                name: {f"p{q:g}": float(np.percentile(values, q)) for q in (50, 90, 95, 99, 99.9)}
                for name, values in self.samples.items()
            },
        }

    def write(self, path: Path) -> None:
        """Write the JSON, and a plot of the latencies beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.document(), indent=2) + "\n", encoding="utf-8")
        self._plot(path.with_suffix(".png"))

    def show(self, console: Console) -> None:
        """Print machine, command and table."""
        document = self.document()
        console.print(f"[bold]{self.name}[/bold]  {self.command}  (seed {self.seed})")
        console.print(", ".join(f"{key}: {value}" for key, value in document["machine"].items()))
        console.print(", ".join(f"{key} {value}" for key, value in document["versions"].items()))
        table = Table("metric", "value", "baseline", "ratio", "goal", "met", "note")
        for row in self.rows:
            table.add_row(
                row.metric,
                f"{row.value:,.3g} {row.unit}"
                if row.value < 100
                else f"{row.value:,.0f} {row.unit}",
                "" if row.baseline is None else f"{row.baseline:,.3g}",
                "" if row.ratio is None else f"{row.ratio:,.1f}x",
                "" if row.goal is None else f"{row.goal:g}",
                {True: "yes", False: "[red]no[/red]", None: ""}[row.met],
                row.note,
            )
        console.print(table)
        for name, quantiles in document["percentiles_ms"].items():
            figures = "  ".join(f"{key} {value:.2f}" for key, value in quantiles.items())
            console.print(f"{name} latency in ms: {figures}  (n = {len(self.samples[name])})")

    def _plot(self, path: Path) -> None:
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for name, values in self.samples.items():
            ordered = np.sort(values)
            share = np.arange(1, len(ordered) + 1) / len(ordered)
            axes.plot(ordered, share, label=f"{name} (p50 {np.median(ordered):.2f} ms)")
        axes.set_xscale("log")
        axes.set_xlabel("latency, ms")
        axes.set_ylabel("share of requests answered within")
        axes.set_title(f"tezi bench {self.name}: latency")
        axes.grid(visible=True, alpha=0.3)
        axes.legend(loc="lower right")
        figure.savefig(path, dpi=120)


def machine() -> dict[str, Any]:
    """The machine that a figure belongs to."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
