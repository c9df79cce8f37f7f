"""A table that is no list of metrics: contenders down, what they reach across."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Grid:
    """Rows of text under heads; the first column says what a row is about."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    def console_table(self) -> Table:
        """For a terminal."""
        table = Table(title=self.title, title_justify="left")
        for place, head in enumerate(self.heads):
            table.add_column(head, justify="right" if place else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """In Markdown, its title above it."""
        lines = [
            "| " + " | ".join(self.heads) + " |",
            "|---|" + "---:|" * (len(self.heads) - 1),
            *("| " + " | ".join(row) + " |" for row in self.rows),
        ]
        return f"**{self.title}**\n\n" + "\n".join(lines)
