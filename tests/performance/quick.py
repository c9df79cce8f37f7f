"""A benchmark's quick form, run as users run it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess.settings import Settings
from tests.integration.stack import tezi

ROW_KEYS = {"metric", "value", "unit", "baseline", "ratio", "goal", "met"}


@dataclass(frozen=True)
class Quick:
    """What it printed and wrote."""

    output: str
    document: dict[str, Any]
    file: Path

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows by metric."""
        return {row["metric"]: row for row in self.document["rows"]}


def run_quick(settings: Settings, name: str) -> Quick:
    """`tezi bench NAME --quick`."""
    file = settings.home / f"{name}.json"
    output = tezi(settings, "bench", name, "--quick", "--json", file, covered=False).stdout
    return Quick(output, json.loads(file.read_text(encoding="utf-8")), file)


def assert_shape(quick: Quick, metrics: set[str]) -> None:
    """The document has the keys that scripts follow, the metrics, and a table and a plot beside."""
    document = quick.document
    assert {"machine", "versions", "seed", "command", "rows"} <= document.keys()
    assert all(row.keys() >= ROW_KEYS for row in document["rows"])
    assert metrics <= quick.rows.keys()
    # A share of time that was saved may be lost instead, in so small a market.
    measured = [row for row in document["rows"] if row["value"] is not None]
    assert all(row["value"] >= 0 for row in measured if row["unit"] != "of the time")
    table = quick.file.with_suffix(".md").read_text(encoding="utf-8")
    assert all(f"| `{metric}` |" in table for metric in metrics)
    assert all(metric in quick.output for metric in metrics)
    assert quick.file.with_suffix(".png").stat().st_size > 10_000
