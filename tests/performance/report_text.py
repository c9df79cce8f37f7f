"""A benchmark's rows as text: a table for the terminal, and the same in Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from preprocess.errors import TeziError
from tests.performance.row import Row

# Below so many samples, a 95th percentile is one of them.
_FEWEST = 20
# A terminal narrower than this shows how a row compares, and not what it took.
_WIDE = 140
_TAKEN = ("p50 / p95 / p99, ms", "CPU s", "read MB", "peak MB")


@dataclass(frozen=True)
class Grid:
    """A further table: rows of text under heads; the first column says what a row is about."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def console_table(self) -> Table:
        """For a terminal."""
        table = Table(*self.heads, title=self.title, title_justify="left")
        for row in self.rows:
            table.add_row(*row)
        return table

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


def console_table(rows: Sequence[Row], samples: Mapping[str, Sequence[float]], width: int) -> Table:
    """For a terminal of so many columns; notes are printed below it."""
    left_out = ("note",) if width >= _WIDE else ("note", *_TAKEN)
    heads, lines = _filled([_cells(row, samples.get(row.metric, ())) for row in rows], left_out)
    table = Table(*heads)
    table.columns[0].no_wrap = True
    for line in lines:
        table.add_row(*line)
    return table


def markdown_table(rows: Sequence[Row], samples: Mapping[str, Sequence[float]]) -> str:
    """The same in Markdown, with what each row took and its note."""
    heads, lines = _filled([_cells(row, samples.get(row.metric, ())) for row in rows], ())
    return markdown_lines(heads, [[f"`{name}`", *rest] for name, *rest in lines])


def markdown_lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown: the first column and notes set to the left, figures to the right."""
    rules = ["---" if index == 0 or head == "note" else "---:" for index, head in enumerate(heads)]
    lines = ["| " + " | ".join(heads) + " |", "|" + "|".join(rules) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
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


def _cells(row: Row, samples_ms: Sequence[float]) -> dict[str, str]:
    """One row as text by column; empty where there is nothing to say."""
    goals = [f"{row.goal:g} {row.unit}".strip()] if row.goal is not None else []
    goals += [f"{row.goal_ratio:,g}x"] if row.goal_ratio is not None else []
    value = "not measured" if row.value is None else f"{figure(row.value)} {row.unit}".strip()
    quantiles: list[float] = []
    if len(samples_ms) >= _FEWEST:
        quantiles = np.percentile(samples_ms, (50, 95, 99)).tolist()
    return {
        "metric": row.metric,
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


def _filled(
    rows: Sequence[dict[str, str]], left_out: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Heads and lines of the columns in which any row has something."""
    heads = [
        head for head in rows[0] if head not in left_out and any(cells[head] for cells in rows)
    ]
    return heads, [[cells[head] for head in heads] for cells in rows]
