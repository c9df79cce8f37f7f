"""Reports: ratios and goals, their form, their place in the docs."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from preprocess.errors import TeziError
from tests.paths import PROJECT_ROOT
from tests.performance.__main__ import main
from tests.performance.quick import ROW_KEYS
from tests.performance.report import Report
from tests.performance.report_text import Grid, replace_between_markers
from tests.performance.row import Row


def test_ratio_is_better_when_higher_whatever_the_unit() -> None:
    assert Row("time", 2.0, "ms", 10.0).ratio == 5.0
    assert Row("rate", 10.0, "/s", 2.0).ratio == 5.0
    assert Row("alone", 1.0, "ms").ratio is None


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (Row("no goal", 1.0, "s", 5.0), None),
        (Row("below", 1.0, "s", goal=2.0), True),
        (Row("above", 3.0, "s", goal=2.0), False),
        (Row("rate", 3.0, "/s", goal=2.0), True),
        (Row("both, one missed", 1.0, "s", 50.0, goal=2.0, goal_ratio=60.0), False),
        (Row("nothing to compare with", 1.0, "s", goal_ratio=60.0), False),
        (Row("not measured", None, "ms", goal_ratio=10.0), None),
    ],
)
def test_met_means_every_goal(row: Row, met: bool | None) -> None:
    assert row.met is met


def test_a_report_is_written(tmp_path: Path) -> None:
    report = Report(
        name="demo",
        command="python -m tests.performance demo",
        seed=1,
        rows=[
            Row("quick", 1.0, "ms", 50.0, note="a | note", goal_ratio=10.0, cpu_s=0.5),
            Row("missed", 2.0, "s", 3.0, goal=1.0),
        ],
        samples={"quick": [1.0] * 30, "unlisted": [2.0, 3.0]},
        plot="pairs",
        findings=["It was found."],
        grids=[Grid("Contenders", ("who", "rows/s"), [("int8", "7")])],
        settings={"stocks": 7},
    )
    file = tmp_path / "reports" / "demo.json"
    report.write(file)
    document = json.loads(file.read_text())
    assert {"machine", "versions", "seed", "command", "rows"} <= document.keys()
    first = document["rows"][0]
    assert first.keys() >= ROW_KEYS
    assert (first["ratio"], first["met"], first["goal_ratio"]) == (50.0, True, 10.0)
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    table = file.with_suffix(".md").read_text()
    lines = [[cell.strip() for cell in line.split(" | ")] for line in table.splitlines()]
    quick = ["| `quick`", "1 ms", "50", "50x", "10x", "yes", "1 / 1 / 1", "0.5", "a \\| note |"]
    assert quick in lines
    assert ["| `missed`", "2 s", "3", "1.5x", "1 s", "no", "", "", "|"] in lines
    assert "rows/s |\n" in table
    assert "\n- It was found.\n- unlisted, ms: p50 2.5" in table


@pytest.mark.parametrize("name", ["features", "db", "inference", "cache", "load"])
def test_a_table_is_put_between_the_markers_of_the_page(name: str, tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_bytes((PROJECT_ROOT / "docs" / "benchmarks.md").read_bytes())
    replace_between_markers(page, name, "the newest table\n")
    assert "the newest table" in page.read_text()
    with pytest.raises(TeziError, match="has no lines"):
        replace_between_markers(page, "unknown", "new\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "is not one of"),
        (["serve", "--scale", "0.5"], "Only `load` takes --scale"),
    ],
)
def test_what_cannot_be_run_is_refused(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert words in done.output
