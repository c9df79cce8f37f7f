"""A table that is no list of metrics: contenders down, what they reach across."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from tests.performance.report_text import markdown_lines


@dataclass(frozen=True)
class Grid:
    """Rows of text under heads; the first column says what a row is about."""

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
        """In Markdown, its title above it."""
        return f"**{self.title}**\n\n" + markdown_lines(self.heads, self.rows)
