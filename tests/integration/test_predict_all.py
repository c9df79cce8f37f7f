"""The evening run against a real Triton: what it stores is what the REST API answers."""

import csv
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.stack.triton import region_prefix
from preprocess.features.row import MINIMUM_ROWS
from preprocess.settings import Settings
from preprocess.store import open_store
from tests.integration.clients import rest
from tests.integration.stack import RunningStack, copied, tezi

pytestmark = pytest.mark.triton


@pytest.fixture
def settings(demo_stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The demo stack's settings, in the environment as well; predictions are taken out again."""
    for name, value in demo_stack.settings.environment().items():
        monkeypatch.setenv(name, value)
    yield demo_stack.settings
    forget(demo_stack.settings)


def predict_all(*arguments: object) -> Result:
    """`tezi predict-all` in this process: another would take a second to start."""
    return CliRunner().invoke(main, ["predict-all", *map(str, arguments)])


def folder(settings: Settings, day: date) -> Path:
    return settings.home / "reports" / "predictions" / day.isoformat()


def forget(settings: Settings) -> None:
    shutil.rmtree(settings.home / "reports", ignore_errors=True)
    with closing(sqlite3.connect(settings.database_path)) as connection, connection:
        connection.execute("DELETE FROM daily_predictions")


def stored(settings: Settings) -> list[tuple[Any, ...]]:
    """All rows of the table but the moments they were made at."""
    with closing(sqlite3.connect(settings.database_path)) as connection:
        return connection.execute(
            "SELECT bse_code, prediction_date, model_version, predicted_label, probability,"
            " confidence, variant FROM daily_predictions ORDER BY 1, 2, 3"
        ).fetchall()


def price_days(settings: Settings) -> list[date]:
    """Days with prices, newest last."""
    with closing(sqlite3.connect(settings.database_path)) as connection:
        rows = connection.execute("SELECT DISTINCT date FROM price_movements ORDER BY date")
        return [date.fromisoformat(day) for (day,) in rows]


def files(settings: Settings, day: date) -> tuple[bytes, bytes]:
    here = folder(settings, day)
    return (here / "predictions.csv").read_bytes(), (here / "predictions.json").read_bytes()


def test_table_csv_and_json_say_what_the_service_answers(settings: Settings) -> None:
    day = price_days(settings)[-1]
    done = tezi(settings, "predict-all")
    document = json.loads(files(settings, day)[1])
    predictions = {row["bse_code"]: row for row in document["predictions"]}
    store = open_store(settings)
    active = [stock.bse_code for stock in store.stocks() if stock.status == "active"]
    rows = {row.bse_code: row for row in store.predictions(day, 1)}
    short = [h.bse_code for h in store.histories(active) if len(h.prices) < MINIMUM_ROWS]
    store.close()
    skipped = {row["bse_code"]: row["reason"] for row in document["skipped"]}
    assert short
    assert all(skipped[code] == "SHORT_HISTORY" for code in short)
    assert sorted([*predictions, *skipped]) == active
    assert rows.keys() == predictions.keys()
    lines = {row["bse_code"]: row for row in csv.DictReader(open_csv(settings, day))}
    assert lines.keys() == predictions.keys()
    for answer in rest(settings, [(code, day.isoformat()) for code in active[::3]]):
        code = answer["bse_code"]
        if answer["error"]:
            assert answer["error"]["code"] == "short_history"
            assert code in skipped
            continue
        row = predictions[code]
        assert row == {name: answer[name] for name in row}
        assert lines[code] == {
            name: "" if value is None else str(value) for name, value in row.items()
        }
        kept = rows[code]
        assert kept.probability == answer["probability"]
        assert kept.predicted_label == answer["predicted_label"]
        assert (kept.confidence, kept.variant) == (answer["confidence"], "fp32")
    report = json.loads((folder(settings, day) / "report.json").read_bytes())
    assert report["scored"] == len(predictions)
    top = report["top"]
    assert len(top) == 20
    assert [row["probability"] for row in top] == sorted(
        (row["probability"] for row in predictions.values()), reverse=True
    )[:20]
    assert top[0]["bse_code"] in done.stdout
    assert f"{len(predictions):,} of {len(active):,} stocks scored by fp32 v1" in done.stdout
    before = stored(settings), files(settings, day)
    assert predict_all("--date", day).exit_code == 0
    assert (stored(settings), files(settings, day)) == before


def open_csv(settings: Settings, day: date) -> list[str]:
    return files(settings, day)[0].decode().splitlines()


def test_a_few_stocks_and_what_is_refused(settings: Settings) -> None:
    codes = [row.bse_code for row in _stocks(settings)][:2]
    few = predict_all("--codes", ",".join(codes), "--limit", 1)
    assert "1 of 1 stocks" in few.stdout
    assert len(stored(settings)) == 1
    for arguments, message in (
        (("--variant", "gpu"), "no gpu variant that this machine can serve"),
        (("--date", "2999-01-01"), "in the future"),
        (("--date", "1999-01-01"), "before all data"),
        (("--codes", "999999"), "No stock in the database has the code"),
        (("--codes", " , "), "names no stock"),
    ):
        refused = predict_all(*arguments)
        assert refused.exit_code != 0
        assert message in refused.stderr
    assert len(stored(settings)) == 1


def _stocks(settings: Settings) -> list[Any]:
    store = open_store(settings)
    found = [listing.stock for listing in store.listings() if listing.stock.status == "active"]
    store.close()
    return found


def test_triton_is_started_for_the_run_and_stopped_after(
    demo_market: Settings, tmp_path: Path
) -> None:
    settings = copied(demo_market.home, tmp_path / "home")
    refused = tezi(settings, "predict-all", check=False)
    assert refused.returncode == 1
    assert "tezi up" in refused.stderr
    done = tezi(settings, "predict-all", "--start", "--limit", 5)
    assert "stocks scored by fp32 v1" in done.stdout
    assert len(stored(settings)) > 0
    assert list(Path("/dev/shm").glob(f"{region_prefix(settings)}*")) == []
    again = tezi(settings, "predict-all", check=False)
    assert "No Triton answers" in again.stderr


def test_an_evening_imports_and_scores_and_says_what_it_refused(
    settings: Settings, tmp_path: Path
) -> None:
    newest = price_days(settings)[-1]
    with closing(open_store(settings)) as store:
        code = next(stock.bse_code for stock in store.stocks() if stock.status == "active")
        history = store.history(code)
    assert history is not None
    close = float(history.prices.close[-1])
    row = f"{code},{newest},{close},{close},{close},{close},100"
    (tmp_path / "prices.csv").write_text(f"bse_code,date,open,high,low,close,volume\n{row}\n")
    done = CliRunner().invoke(main, ["evening", str(tmp_path)])
    assert (done.exit_code, "; 1 stocks changed." in done.output) == (0, True), done.output
    report = json.loads((folder(settings, newest) / "report.json").read_bytes())
    assert (
        f"Scored: {report['scored']:,} of {report['stocks']:,} stocks for {newest}" in done.output
    )
    assert report["announced"] == 0
    assert "Announced results: 0." in done.output
    imported = json.loads((folder(settings, newest) / "import.json").read_bytes())
    assert (imported["changed"], imported["refused_files"]["total"]) == (1, 0)
    page = settings.home / "reports" / "data" / newest.isoformat() / "report.html"
    assert str(page) in done.output
    assert page.is_file()
    first = files(settings, newest)
    (tmp_path / "page.csv").write_text("<!DOCTYPE html><html>No such file</html>")
    again = CliRunner().invoke(main, ["evening", str(tmp_path)])
    assert (again.exit_code, "page.csv: it is a web page" in again.output) == (1, True), (
        again.output
    )
    assert len(again.stdout.splitlines()) <= 10
    assert files(settings, newest) == first
    # The predictions are there, whatever becomes of the report on the data.
    shutil.rmtree(page.parent)
    page.parent.touch()
    without = CliRunner().invoke(main, ["evening", str(tmp_path / "prices.csv")])
    assert (without.exit_code, "Data: no report." in without.stdout) == (0, True), without.output
