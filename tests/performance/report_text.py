"""A benchmark's rows as text: tables in Markdown, whose columns are aligned for a terminal too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from preprocess.errors import TeziError
from tests.performance.row import Row

# Below so many samples, a 95th percentile is one of them.
_FEWEST = 20


@dataclass(frozen=True)
class Grid:
    """A further table: rows of text under heads; the first column says what a row is about."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """In Markdown, with its title above it."""
        return f"**{self.title}**\n\n" + markdown_lines(self.heads, self.rows)


def figure(value: float | None) -> str:
    """Three digits of a figure, all of those before the point."""
    if value is None:
        return ""
    if value == 0.0 or 1e-3 <= abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1e}"


def markdown_table(rows: Sequence[Row], samples: Mapping[str, Sequence[float]]) -> str:
    """The columns in which any row has something."""
    cells = [_cells(row, samples.get(row.metric, ())) for row in rows]
    heads = [head for head in cells[0] if any(one[head] for one in cells)]
    return markdown_lines(heads, [[one[head] for head in heads] for one in cells])


def markdown_lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column and notes set to the left, figures to the right."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    left = [index == 0 or head == "note" for index, head in enumerate(heads)]
    if heads[-1] == "note":
        widths[-1] = 0  # the last column, and a long one: it needs no padding
    aligned = [
        [
            cell.ljust(width) if is_left else cell.rjust(width)
            for cell, width, is_left in zip(row, widths, left, strict=True)
        ]
        for row in cells
    ]
    rule = "|" + "|".join("---" if is_left else "---:" for is_left in left) + "|"
    first, *rest = ["| " + " | ".join(row) + " |" for row in aligned]
    return "\n".join([first, rule, *rest])


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


def _cells(row: Row, samples_ms: Sequence[float]) -> dict[str, str]:
    """One row as text by column; empty where there is nothing to say."""
    goals = [f"{row.goal:g} {row.unit}".strip()] if row.goal is not None else []
    goals += [f"{row.goal_ratio:,g}x"] if row.goal_ratio is not None else []
    value = "not measured" if row.value is None else f"{figure(row.value)} {row.unit}".strip()
    quantiles: list[float] = []
    if len(samples_ms) >= _FEWEST:
        quantiles = np.percentile(samples_ms, (50, 95, 99)).tolist()
    return {
        "metric": f"`{row.metric}`",
        "value": value,
        "baseline": figure(row.baseline),
        "ratio": "" if row.ratio is None else f"{figure(row.ratio)}x",
        "goal": " and ".join(goals),
        "met": {True: "yes", False: "no", None: ""}[row.met],
        "p50 / p95 / p99, ms": " / ".join(figure(q) for q in quantiles),
        "CPU s": figure(row.cpu_s),
        "read MB": figure(row.read_mb),
        "peak MB": figure(row.peak_mb),
        "note": row.note,
    }
