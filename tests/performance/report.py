"""What every benchmark prints and writes: machine, versions, seed, rows with ratios and goals."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from tests.performance.machine import machine, versions
from tests.performance.report_grid import Grid
from tests.performance.report_plot import Pair, plot_latencies, plot_pairs
from tests.performance.report_text import Cells, console_table, markdown_table
from tests.performance.row import Row

QUANTILES = (50, 90, 95, 99, 99.9)

_IN_MS = {"ms": 1.0, "s": 1e3}


@dataclass(frozen=True)
class Report:
    """A benchmark's outcome.

    `samples` are times in ms, by metric or by way; `plot` is what is drawn: how they are spread,
    or each metric's time beside its baseline; `draw` draws something else. `findings` are
    sentences printed below the table, `grids` further tables.
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
    draw: Callable[[Path], None] | None = None

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
        """Write the JSON, and a plot and the table as Markdown beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.document(), indent=2) + "\n", encoding="utf-8")
        path.with_suffix(".md").write_text(self.markdown(), encoding="utf-8")
        title = f"python -m tests.performance {self.name}"
        if self.draw is not None:
            self.draw(path.with_suffix(".png"))
        elif self.plot == "latencies":
            plot_latencies(path.with_suffix(".png"), title, self.samples)
        else:
            plot_pairs(path.with_suffix(".png"), title, self._pairs())

    def show(self, console: Console) -> None:
        """Print machine, command, table and findings."""
        document = self.document()
        console.print(f"[bold]{self.name}[/bold]  {self.command}  (seed {self.seed})")
        for part in ("machine", "versions", "settings"):
            if document[part]:
                console.print(", ".join(f"{key} {value}" for key, value in document[part].items()))
        console.print(console_table(self._cells(), console.width))
        for row in self.rows:
            if row.note:
                console.print(f"{row.metric}: {row.note}", soft_wrap=True, highlight=False)
        for grid in self.grids:
            console.print(grid.console_table())
        for finding in self.findings:
            console.print(finding, soft_wrap=True)
        unlisted = self.samples.keys() - {row.metric for row in self.rows}
        for name in sorted(unlisted):
            figures = document["percentiles_ms"][name].items()
            text = "  ".join(f"{key} {value:.3g}" for key, value in figures)
            console.print(f"{name}, ms: {text}  (n = {len(self.samples[name])})")

    def markdown(self) -> str:
        """The table with what it was measured on, as Markdown."""
        document = self.document()
        facts = [
            ", ".join(f"{key} {value}" for key, value in document[part].items())
            for part in ("machine", "versions", "settings")
            if document[part]
        ]
        parts = [f"`{self.command}`, seed {self.seed}.", *facts, markdown_table(self._cells())]
        parts += [grid.markdown() for grid in self.grids]
        if self.findings:
            parts.append("\n".join(f"- {finding}" for finding in self.findings))
        return "\n\n".join(parts) + "\n"

    def _cells(self) -> list[Cells]:
        return [Cells.of(row, self.samples.get(row.metric)) for row in self.rows]

    def _pairs(self) -> list[Pair]:
        timed = [row for row in self.rows if row.baseline and row.unit in _IN_MS]
        return [_pair(row, row.value) for row in timed if row.value is not None]


def _pair(row: Row, value: float) -> Pair:
    size, baseline = _IN_MS[row.unit], row.baseline or 0.0
    goals = [row.goal] if row.goal else []
    goals += [baseline / row.goal_ratio] if row.goal_ratio else []
    return Pair(
        row.metric,
        before_ms=baseline * size,
        after_ms=value * size,
        goal_ms=min(goals) * size if goals else None,
    )
