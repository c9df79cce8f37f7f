"""A benchmark's quick form, run as users run it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preprocess.settings import Settings
from tests.integration.stack import environment
from tests.paths import PROJECT_ROOT

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
    """`python -m tests.performance NAME --quick`."""
    file = settings.home / f"{name}.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.performance", name, "--quick", "--json", str(file)],
        env=environment(settings, covered=False),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Quick(done.stdout, json.loads(file.read_text(encoding="utf-8")), file)


def assert_shape(quick: Quick, metrics: set[str]) -> None:
    """The document has the keys that scripts follow and the metrics; table and plot are there."""
    document = quick.document
    assert {"machine", "versions", "seed", "command", "rows"} <= document.keys()
    assert all(row.keys() >= ROW_KEYS for row in document["rows"])
    assert metrics <= quick.rows.keys()
    assert all(row["value"] is None or row["value"] >= 0 for row in document["rows"])
    table = quick.file.with_suffix(".md").read_text(encoding="utf-8")
    assert table in quick.output
    assert all(f"| `{metric}` " in table for metric in metrics)
    assert quick.file.with_suffix(".png").stat().st_size > 10_000
