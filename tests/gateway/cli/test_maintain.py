"""`tezi maintain` and `tezi db` as a user meets them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from preprocess.settings import Settings, load_settings
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import bars


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TEZI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TEZI_DATABASE_URL", "")
    monkeypatch.setenv("COLUMNS", "200")
    settings = load_settings()
    store = SQLiteStore(settings.database_path, write=True)
    for close in (1.0, 2.0):
        with store.transaction() as writer:
            writer.put_prices(bars("500001", [close] * 40))
    store.close()
    return settings


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in arguments])


def test_all_tasks_and_their_report(settings: Settings, tmp_path: Path) -> None:
    report = tmp_path / "reports" / "maintenance.json"
    done = run("maintain", "--json", report)
    assert done.exit_code == 0, done.output
    tasks = json.loads(report.read_text())["tasks"]
    names = ["leftovers", "packs", "changelog", "samples", "reindex", "vacuum", "analyze"]
    assert [task["task"] for task in tasks] == names
    assert all(name in done.output for name in (*names, "MB before", "1 stocks rebuilt"))
    assert not any(task["failed"] for task in tasks)
    assert all(task["bytes_before"] > 0 and task["seconds"] >= 0 for task in tasks)


def test_a_failed_task_is_told_and_ends_with_1(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    failed = run("maintain", "--only", "vacuum,analyze")
    assert failed.exit_code == 1
    assert "tezi: vacuum failed: VACUUM needs" in failed.output
    assert "statistics refreshed" in failed.output


def test_the_analysis_and_its_report(settings: Settings, tmp_path: Path) -> None:
    report = tmp_path / "queries.json"
    done = run("db", "analyze", "--json", report)
    assert done.exit_code == 0, done.output
    assert "bars of a stock" in done.output
    queries = {query["query"]: query for query in json.loads(report.read_text())["queries"]}
    bars_of_a_stock = queries["bars of a stock"]
    assert bars_of_a_stock["plan"] == ["SEARCH price_movements USING PRIMARY KEY (bse_code=?)"]
    assert bars_of_a_stock["milliseconds"] > 0


def test_the_samples(settings: Settings) -> None:
    assert run("db", "samples").output == "0 samples joined.\n"
