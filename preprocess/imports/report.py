"""The result of an import: all counts, and the first refusals."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from preprocess.imports.refusal import Refusal, Rule
from preprocess.market.values import Tally

KEPT = 1_000
SHOWN = 20


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that was refused as a whole."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(slots=True)
class ImportReport:
    """Counts of one import, and the first `KEPT` refusals.

    `rows` are the data rows of the files taken; `tally` counts what they came to in the store,
    where a row may stand for two entries (a bonus with a split).
    """

    kind: str
    files: int = 0
    rows: int = 0
    left_out: int = 0
    tally: Tally = field(default_factory=Tally)
    refused_by_rule: Counter[Rule] = field(default_factory=Counter)
    first_refused: list[Refusal] = field(default_factory=list)
    refused_files: int = 0
    first_refused_files: list[RefusedFile] = field(default_factory=list)
    stocks_changed: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """Rows refused because they break a rule."""
        return self.refused_by_rule.total()

    @property
    def nothing_new(self) -> bool:
        """Whether everything in the files was stored already."""
        return self.tally.unchanged > 0 and not self.tally.added + self.tally.changed

    @property
    def complete(self) -> bool:
        """Whether no file was refused and at least one row was stored or known already."""
        stored = self.tally.added + self.tally.changed + self.tally.unchanged
        return self.refused_files == 0 and stored > 0

    def refuse(self, refusal: Refusal) -> None:
        """Count a refused row."""
        self.refused_by_rule[refusal.rule] += 1
        if len(self.first_refused) < KEPT:
            self.first_refused.append(refusal)

    def refuse_file(self, file: str, reason: str) -> None:
        """Count a file that was refused whole."""
        self.refused_files += 1
        if len(self.first_refused_files) < KEPT:
            self.first_refused_files.append(RefusedFile(file, reason))

    def note(self, file: str, text: str) -> None:
        """Say something of a file that went in."""
        line = f"{file}: {text}"
        if len(self.notes) < KEPT and line not in self.notes:
            self.notes.append(line)

    def merge(self, part: "ImportReport") -> None:
        """Add the counts of a file that went in; its kind is its format."""
        self.formats[part.kind] += part.files
        self.notes += part.notes[: KEPT - len(self.notes)]
        self.files += part.files
        self.rows += part.rows
        self.left_out += part.left_out
        self.tally += part.tally
        self.refused_by_rule += part.refused_by_rule
        self.first_refused += part.first_refused[: KEPT - len(self.first_refused)]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "kind": self.kind,
            "files": self.files,
            "formats": dict(self.formats),
            "rows": self.rows,
            "added": self.tally.added,
            "changed": self.tally.changed,
            "unchanged": self.tally.unchanged,
            "left_out": self.left_out,
            "stocks_changed": self.stocks_changed,
            "notes": self.notes,
            "refused": {
                "total": self.refused,
                "by_rule": {str(rule): count for rule, count in self.refused_by_rule.items()},
                "first": [
                    {
                        "file": refusal.file,
                        "line": refusal.line,
                        "rule": str(refusal.rule),
                        "detail": refusal.detail,
                    }
                    for refusal in self.first_refused
                ],
            },
            "refused_files": {
                "total": self.refused_files,
                "first": [
                    {"file": refused.file, "reason": refused.reason}
                    for refused in self.first_refused_files
                ],
            },
        }

    def show(self, console: Console) -> None:
        """Print the counts, the refusals by rule, and the first `SHOWN` of them."""
        table = Table(title=f"Import of {self.kind}", title_justify="left")
        for title in ("files", "rows", "new", "changed", "as known", "left out", "refused"):
            table.add_column(title, justify="right")
        tally = self.tally
        counts = [self.files, self.rows, tally.added, tally.changed, tally.unchanged]
        table.add_row(*(f"{count:,}" for count in [*counts, self.left_out, self.refused]))
        console.print(table)
        for name, count in sorted(self.formats.items()):
            _line(console, f"{name}: {count:,} file{'s' * (count != 1)}", "")
        for note in self.notes[:SHOWN]:
            _line(console, note, "cyan")
        if len(self.notes) > SHOWN:
            _line(console, f"and {len(self.notes) - SHOWN:,} more notes", "cyan")
        for rule, count in self.refused_by_rule.most_common():
            _line(console, f"{count:,} refused: {rule}", "yellow")
        _listing(console, self.first_refused, self.refused, "rows", "yellow")
        _listing(console, self.first_refused_files, self.refused_files, "files", "red")


def _listing(
    console: Console, first: list[Refusal] | list[RefusedFile], total: int, what: str, style: str
) -> None:
    for refused in first[:SHOWN]:
        _line(console, f"  {refused}" if what == "rows" else f"refused whole: {refused}", style)
    if total > SHOWN:
        _line(console, f"  and {total - min(SHOWN, total):,} more {what}", style)


def _line(console: Console, text: str, style: str) -> None:
    # Text, since what files hold may look like markup.
    console.print(Text(text, style=style), soft_wrap=True)
