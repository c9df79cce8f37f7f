"""A benchmark's rows as text: a table for the terminal, and one in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from rich.table import Table

from preprocess.errors import TeziError
from tests.performance.row import Row

HEADS = {
    "metric": "metric",
    "value": "value",
    "baseline": "baseline",
    "ratio": "ratio",
    "goal": "goal",
    "met": "met",
    "quantiles": "p50 / p95 / p99, ms",
    "cpu": "CPU s",
    "read": "read MB",
    "peak": "peak MB",
    "note": "note",
}

# Below so many samples, a 95th percentile is one of them.
_FEWEST = 20
# A terminal narrower than this shows what a row came to, and not what it took.
_WIDE = 140
_TAKEN = ("quantiles", "cpu", "read", "peak")


@dataclass(frozen=True)
class Cells:
    """One row as text; empty where there is nothing to say."""

    metric: str
    value: str
    baseline: str
    ratio: str
    goal: str
    met: str
    quantiles: str
    cpu: str
    read: str
    peak: str
    note: str

    @classmethod
    def of(cls, row: Row, samples_ms: Sequence[float] | None) -> Self:
        """The cells of a row; `samples_ms` are the times that its value was taken from."""
        goals = [f"{row.goal:g} {row.unit}".strip()] if row.goal is not None else []
        goals += [f"{row.goal_ratio:,g}x"] if row.goal_ratio is not None else []
        return cls(
            metric=row.metric,
            value=_value(row),
            baseline=figure(row.baseline),
            ratio="" if row.ratio is None else f"{figure(row.ratio)}x",
            goal=" and ".join(goals),
            met={True: "yes", False: "no", None: ""}[row.met],
            quantiles=_quantiles(samples_ms or []),
            cpu=figure(row.cpu_s),
            read=figure(row.read_mb),
            peak=figure(row.peak_mb),
            note=row.note,
        )


def figure(value: float | None) -> str:
    """Three digits of a figure, all of those before the point."""
    if value is None:
        return ""
    if value == 0.0 or 1e-3 <= abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1e}"


def console_table(rows: Sequence[Cells], width: int) -> Table:
    """For a terminal; columns in which no row has anything are left out, notes go below it."""
    names = [name for name in _filled(rows) if name != "note"]
    if width < _WIDE:
        names = [name for name in names if name not in _TAKEN]
    table = Table(*(HEADS[name] for name in names))
    for row in rows:
        cells = [getattr(row, name) for name in names]
        table.add_row(*("[red]no[/red]" if cell == "no" else cell for cell in cells))
    return table


def markdown_table(rows: Sequence[Cells]) -> str:
    """The same in Markdown; figures are set to the right."""
    names = _filled(rows)
    left = ("metric", "note")
    lines = [
        "| " + " | ".join(HEADS[name] for name in names) + " |",
        "|" + "|".join("---" if name in left else "---:" for name in names) + "|",
    ]
    for row in rows:
        cells = [getattr(row, name).replace("|", "\\|") for name in names]
        cells[0] = f"`{cells[0]}`"
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def replace_between_markers(page: Path, name: str, text: str) -> None:
    """Put `text` between the page's markers of a benchmark.

    Raises:
        TeziError: the page has no such markers.
    """
    begin, end = f"<!-- table of {name} -->\n", f"<!-- end of {name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise TeziError(f"{page} has no lines {begin.strip()} and {end} to write between.")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def _value(row: Row) -> str:
    return "not measured" if row.value is None else f"{figure(row.value)} {row.unit}".strip()


def _filled(rows: Sequence[Cells]) -> list[str]:
    names = [column.name for column in fields(Cells)]
    return [name for name in names if any(getattr(row, name) for row in rows)]


def _quantiles(samples_ms: Sequence[float]) -> str:
    if len(samples_ms) < _FEWEST:
        return ""
    return " / ".join(figure(float(q)) for q in np.percentile(samples_ms, (50, 95, 99)))
