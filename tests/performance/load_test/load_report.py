"""A benchmark's report with a page beside it, and with what the load test saw second by second."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.performance.report import Report


@dataclass(frozen=True)
class LoadReport(Report):
    """`extra` goes into the JSON, `page` makes the HTML when the report is written."""

    page: Callable[[], str] = str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON for scripts."""
        return {**super().document(), "load": dict(self.extra)}

    def write(self, path: Path) -> None:
        """Write the JSON, the table and the plot as every benchmark does, and the page."""
        super().write(path)
        path.with_suffix(".html").write_text(self.page(), encoding="utf-8")
