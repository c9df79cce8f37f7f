"""Reports: ratios and goals, text, plots, and their place in the docs."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from rich.console import Console

from preprocess.errors import TeziError
from preprocess.settings import PROJECT_ROOT
from tests.performance.__main__ import main
from tests.performance.report import Report
from tests.performance.report_text import figure, replace_between_markers
from tests.performance.row import Row
from tests.performance.test_cache_hit_rate import METRICS as CACHE_METRICS
from tests.performance.test_db_performance import METRICS as DB_METRICS
from tests.performance.test_feature_optimization import METRICS as FEATURE_METRICS
from tests.performance.test_inference_speed import METRICS as INFERENCE

SIZES = ("500", "2000", "45mb")


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
        (Row("ratio", 1.0, "s", 50.0, goal_ratio=50.0), True),
        (Row("both, one missed", 1.0, "s", 50.0, goal=2.0, goal_ratio=60.0), False),
        (Row("nothing to compare with", 1.0, "s", goal_ratio=60.0), False),
    ],
)
def test_met_means_every_goal(row: Row, met: bool | None) -> None:
    assert row.met is met


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (0.0, "0"),
        (0.01234, "0.0123"),
        (99.94, "99.9"),
        (1234.5, "1,234"),
        (1e-5, "1.0e-05"),
    ],
)
def test_figures_have_three_digits(value: float | None, text: str) -> None:
    assert figure(value) == text


@pytest.fixture
def report() -> Report:
    return Report(
        name="demo",
        command="python -m tests.performance demo",
        seed=1,
        rows=[
            Row("quick", 1.0, "ms", 50.0, note="a | note", goal_ratio=10.0, cpu_s=0.5),
            Row("missed", 2.0, "s", 3.0, goal=1.0),
            Row("share", 0.5, "of the time"),
        ],
        samples={"quick": [1.0] * 30, "unlisted": [2.0, 3.0]},
        plot="pairs",
        findings=["It was found."],
        settings={"stocks": 7},
    )


def test_the_document_keeps_the_keys_and_adds_its_own(report: Report) -> None:
    first = json.loads(json.dumps(report.document()))["rows"][0]
    assert first["ratio"] == 50.0
    assert first["met"] is True
    assert (first["goal"], first["goal_ratio"]) == (None, 10.0)


@pytest.mark.parametrize("width", [80, 200])
def test_a_wide_terminal_shows_what_a_row_took(report: Report, width: int) -> None:
    out = io.StringIO()
    report.show(Console(file=out, width=width))
    text = out.getvalue()
    assert ("CPU s" in text) is (width == 200)
    assert "quick: a | note" in text
    assert "It was found." in text
    assert "unlisted, ms: p50 2.5" in text


def test_markdown_has_the_table_and_what_it_was_measured_on(report: Report) -> None:
    text = report.markdown()
    assert "| `quick` | 1 ms | 50 | 50x | 10x | yes | 1 / 1 / 1 | 0.5 | a \\| note |" in text
    assert "| `missed` | 2 s | 3 | 1.5x | 1 s | no |  |  |  |" in text
    assert "stocks 7" in text
    assert text.endswith("- It was found.\n")


@pytest.mark.parametrize("plot", ["pairs", "latencies"])
def test_a_report_is_written_in_three_forms(report: Report, plot: str, tmp_path: Path) -> None:
    file = tmp_path / "reports" / "demo.json"
    Report(**{**vars(report), "plot": plot}).write(file)
    assert json.loads(file.read_text())["name"] == "demo"
    assert file.with_suffix(".md").read_text() == report.markdown()
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_a_table_is_put_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table of db -->\nold\n<!-- end of db -->\nafter\n")
    replace_between_markers(page, "db", "new\n")
    assert page.read_text() == (
        "before\n<!-- table of db -->\n\nnew\n\n<!-- end of db -->\nafter\n"
    )
    with pytest.raises(TeziError, match="has no lines"):
        replace_between_markers(page, "serve", "new\n")


def test_the_page_has_the_last_full_run_of_each() -> None:
    page = (PROJECT_ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for name, metrics in (
        ("features", FEATURE_METRICS | {"predict_all_11000"}),
        ("db", DB_METRICS),
        ("cache", CACHE_METRICS),
        ("inference", {f"{metric}_{size}" for metric in INFERENCE for size in SIZES}),
    ):
        table = page.partition(f"<!-- table of {name} -->")[2].partition("<!-- end")[0]
        assert f"`python -m tests.performance {name}`, seed" in table
        assert all(f"| `{metric}` |" in table for metric in metrics)


def test_update_docs_rewrites_the_page(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "benchmarks.md"
    page.write_text("<!-- table of db -->\n<!-- end of db -->\n")
    module = ModuleType("bench_db")
    vars(module)["run"] = lambda *, quick, command: replace(report, command=command)
    monkeypatch.setitem(sys.modules, "tests.performance.bench_db", module)
    monkeypatch.setattr("tests.performance.__main__.PROJECT_ROOT", tmp_path)
    file = tmp_path / "db.json"
    arguments = ["db", "--quick", "--update-docs", "--json", str(file)]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert "`python -m tests.performance db --quick`, seed 1." in page.read_text()
    assert file.with_suffix(".md").is_file()
