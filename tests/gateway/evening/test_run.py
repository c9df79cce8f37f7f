"""Whole runs over a small market: repeated, refused, broken off."""

import csv
import json
import math
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.api.confidence import confidence
from gateway.evening.report import Report
from gateway.evening.run import run_evening
from gateway.evening.selection import select
from preprocess.errors import EveningError, ModelError, ServerError, StoreError
from preprocess.market.values import Stock
from preprocess.settings import Settings
from preprocess.store.sqlite import store as sqlite
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import bars, result
from tests.gateway.evening.conftest import CODES
from tests.gateway.evening.fakes import GONE, NOW, SHORT, FakeTriton, Row, usual
from tests.integration.stack import TEZI, environment

pytestmark = pytest.mark.usefixtures("small_batches")

DAY = date(2024, 5, 31)


def evening(
    settings: Settings,
    store: SQLiteStore,
    codes: Sequence[str] = (),
    *,
    hours: int = 0,
    **changes: Any,
) -> Report:
    """A run that began `hours` after the first one."""
    return run_evening(
        settings,
        store,
        select(store, today=DAY, codes=codes, max_age_sessions=5),
        now=NOW + timedelta(hours=hours),
        advance=lambda done, total: None,
        triton=nullcontext(),
        **{"variant": "fp32", **changes},
    )


def folder(settings: Settings) -> Path:
    return settings.home / "reports" / "predictions" / "2024-05-31"


def content(settings: Settings) -> tuple[bytes, bytes]:
    """The two files of predictions."""
    here = folder(settings)
    return (here / "predictions.csv").read_bytes(), (here / "predictions.json").read_bytes()


def test_everything_is_stored_written_and_reported(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    triton.row = lambda code: Row(0.6, "2024-05-30") if code == CODES[1] else usual(code)
    report = evening(settings, market)
    assert report.top[0].as_of == "2024-05-31"
    stored = market.predictions(DAY, 1)
    assert [row.bse_code for row in stored] == CODES
    for row in stored:
        assert row.predicted_label == (row.probability >= 0.5)
        assert row.confidence == confidence(row.probability)
        assert (row.variant, row.created_at) == ("fp32", NOW)
    document = json.loads(content(settings)[1])
    by_code = {row["bse_code"]: row for row in document["predictions"]}
    assert {code: row["probability"] for code, row in by_code.items()} == {
        row.bse_code: row.probability for row in stored
    }
    assert by_code[CODES[0]]["nse_symbol"] == "FIRST"
    assert by_code[CODES[1]] == {
        "bse_code": CODES[1],
        "nse_symbol": "UNKNOWN",
        "prediction_date": "2024-05-31",
        "as_of": "2024-05-30",
        "announced_on": None,
        "next_session": "2024-05-31",
        "predicted_label": 1,
        "probability": pytest.approx(0.6, abs=1e-7),
        "target": "upper_circuit",
        "threshold": 0.5,
        "margin": pytest.approx(math.log(0.6 / 0.4), abs=1e-6),
        "confidence": "MEDIUM",
        "model_version": 1,
        "variant": "fp32",
    }
    assert document["skipped"] == [{"bse_code": "599998", "reason": "SHORT_HISTORY"}]
    lines = list(csv.DictReader(content(settings)[0].decode().splitlines()))
    assert lines == [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in document["predictions"]
    ]
    assert json.loads((folder(settings) / "report.json").read_bytes()) == {
        "prediction_date": "2024-05-31",
        "variant": "fp32",
        "model_version": 1,
        "target": "upper_circuit",
        "threshold": 0.5,
        "started_at": "2024-06-03T14:00:00Z",
        "stocks": 13,
        "scored": 12,
        "positives": 7,
        "announced": 0,
        "confidence": report.confidence,
        "as_of": {"2024-05-30": 1, "2024-05-31": 11},
        "skipped": {"SHORT_HISTORY": ["599998"]},
        "top": document["predictions"],
        "table": {"added": 12, "changed": 0, "unchanged": 0},
        "dropped": 0,
        "seconds": report.seconds,
        "files": report.files,
        "market_changed": False,
    }
    assert sum(report.confidence.values()) == 12
    assert report.seconds.keys() == {"golden row", "scoring", "table", "files"}
    text = (folder(settings) / "report.md").read_text()
    assert "12 of 13 stocks scored by fp32 v1, 7 positive (upper_circuit, threshold 0.5)" in text
    assert "fewer than 34 price rows on or before the date (599998)" in text
    assert "11 stocks have one of 2024-05-31, 1 were scored on older ones" in text


def test_stocks_that_announced_results_come_first(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    """By their margins, as do the others after them."""
    probabilities = {code: 0.9 - number / 20 for number, code in enumerate(CODES)}
    triton.row = lambda code: Row(probabilities[code]) if code in probabilities else SHORT
    with market.transaction() as writer:
        for code, day in ((CODES[6], DAY), (CODES[4], DAY), (CODES[2], date(2024, 5, 30))):
            writer.put_results([(code, result(2024, 4, announced=day))])
    report = evening(settings, market)
    assert report.announced == 2
    with (folder(settings) / "predictions.csv").open() as file:
        listed = [(row["bse_code"], row["announced_on"]) for row in csv.DictReader(file)]
    first = [(CODES[4], "2024-05-31"), (CODES[6], "2024-05-31")]
    others = [(code, "") for code in CODES if code not in (CODES[4], CODES[6])]
    assert listed == [*first, *others]
    assert [row.bse_code for row in report.top] == [code for code, _ in listed]


def test_a_second_run_changes_nothing(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    evening(settings, market)
    before = market.predictions(DAY, 1), content(settings)
    report = evening(settings, market, hours=1)
    assert (market.predictions(DAY, 1), content(settings)) == before
    assert (report.table.added, report.table.changed, report.table.unchanged) == (0, 0, 12)


def test_a_triton_that_dies_leaves_table_and_files_as_they_were(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    evening(settings, market, CODES[:1])
    before = market.predictions(DAY, 1)
    triton.asked.clear()
    triton.before = lambda number: triton.failures.extend([GONE] if number > 3 else [])
    with pytest.raises(EveningError, match="Nothing was written"):
        evening(settings, market)
    assert market.predictions(DAY, 1) == before
    assert [entry.name for entry in folder(settings).iterdir()] == ["sample"]
    triton.before = lambda number: None
    triton.failures.clear()
    assert evening(settings, market).scored == 12


def test_a_stock_that_can_no_longer_be_scored_loses_its_row(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    evening(settings, market)
    with market.transaction() as writer:
        writer.put_stocks([Stock(CODES[2], status="suspended")])
    triton.row = lambda code: SHORT if code == CODES[1] else usual(code)
    few = evening(settings, market, [CODES[0], CODES[1]])
    assert few.dropped == 1
    assert few.files[0].endswith("2024-05-31/sample/predictions.csv")
    report = evening(settings, market)
    assert report.dropped == 1
    assert [row.bse_code for row in market.predictions(DAY, 1)] == [CODES[0], *CODES[3:]]
    assert report.skipped == {"SHORT_HISTORY": [CODES[1], "599998"]}


def test_stocks_that_were_asked_for_and_are_not_active_are_listed(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    report = evening(settings, market, [CODES[0], "599999"])
    assert (report.stocks, report.skipped) == (2, {"NOT_ACTIVE": ["599999"]})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (Row(status="UNKNOWN_STOCK", probability=float("nan")), "UNKNOWN_STOCK"),
        (Row(status="INVALID_CODE", probability=0.4), "INVALID_ANSWER"),
        (Row(probability=float("nan")), "INVALID_ANSWER"),
        (Row(probability=1.5), "INVALID_ANSWER"),
        (Row(as_of=""), "INVALID_ANSWER"),
        (Row(as_of="2024-06-01"), "INVALID_ANSWER"),
        (Row(as_of="2024-05-23", probability=0.99), "STALE_PRICE"),
        (Row(status="OVER_THE_MOON"), "INVALID_ANSWER"),
    ],
)
def test_a_stock_without_a_probability_is_left_out_alone(
    settings: Settings, market: SQLiteStore, triton: FakeTriton, row: Row, reason: str
) -> None:
    triton.row = lambda code: row if code == CODES[1] else Row()
    report = evening(settings, market, CODES)
    assert report.skipped == {reason: [CODES[1]]}
    assert report.failed == (reason == "INVALID_ANSWER")
    assert len(market.predictions(DAY, 1)) == 11


def test_a_triton_without_a_database_is_an_error(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    triton.row = lambda code: Row(status="STORE_UNAVAILABLE")
    with pytest.raises(EveningError, match="cannot read the market database"):
        evening(settings, market)
    assert market.predictions(DAY, 1) == []


def test_a_market_that_changes_meanwhile_is_reported(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    def correction(number: int) -> None:
        if number == 2:
            with SQLiteStore(settings.database_path, write=True).transaction() as writer:
                writer.put_prices(bars(CODES[0], [11.0]))

    triton.before = correction
    assert "changed while stocks were scored" in evening(settings, market).to_markdown()
    triton.before = lambda number: None
    assert "changed while" not in evening(settings, market).to_markdown()


def test_files_go_where_they_are_asked_for(
    settings: Settings, market: SQLiteStore, triton: FakeTriton, tmp_path: Path
) -> None:
    one, other = tmp_path / "a" / "p.csv", tmp_path / "p.json"
    report = evening(settings, market, csv=one, json=other)
    assert report.files[:2] == [str(one), str(other)]
    assert one.is_file()
    assert other.is_file()
    assert not (folder(settings) / "predictions.csv").exists()


def test_a_file_that_cannot_be_written_is_written_by_the_next_run(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    evening(settings, market)
    before = content(settings)[0]
    (folder(settings) / "predictions.json").unlink()
    (folder(settings) / "predictions.json").mkdir()
    triton.row = lambda code: Row()
    with pytest.raises(EveningError, match=r"predictions\.json cannot be written"):
        evening(settings, market)
    assert len(market.predictions(DAY, 1)) == 13
    (folder(settings) / "predictions.json").rmdir()
    assert evening(settings, market).table.unchanged == 13
    assert content(settings)[0] != before
    assert not list(folder(settings).glob(".*")), "a half-written file was left"


def test_a_busy_or_read_only_database(
    settings: Settings, market: SQLiteStore, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    ours, reading = (
        SQLiteStore(settings.database_path, write=True),
        SQLiteStore(settings.database_path),
    )
    with market.transaction(), pytest.raises(StoreError, match="busy"):
        evening(settings, ours)
    with pytest.raises(StoreError, match="cannot be written"):
        evening(settings, reading)
    ours.close()
    reading.close()
    assert not folder(settings).exists()


def test_a_triton_that_is_not_to_be_asked(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    with pytest.raises(ModelError, match="Version 1, the stable one, has no int8 variant"):
        evening(settings, market, variant="int8")
    elsewhere = settings.model_copy(update={"triton_grpc_port": 9})
    with pytest.raises(ServerError, match=r"No Triton answers at .* --start"):
        evening(elsewhere, market)
    triton.golden_probability = 0.123
    with pytest.raises(ServerError, match=r"predict_fp32_v1 of Triton at .* came back wrong"):
        evening(settings, market)
    assert triton.asked == []


def test_ctrl_c_writes_nothing(settings: Settings, market: SQLiteStore, triton: FakeTriton) -> None:
    asked, end = threading.Event(), threading.Event()

    def stuck(number: int) -> None:
        asked.set()
        end.wait(60)

    triton.before = stuck
    process = subprocess.Popen(
        [str(TEZI), "predict-all"],
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asked.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    end.set()
    assert (process.returncode, out, err) == (1, "", "tezi: Stopped: nothing was written.\n")
    assert market.predictions(DAY, 1) == []
    assert not folder(settings).exists()


def test_a_model_of_another_database_scores_nothing(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    with market.transaction() as writer:
        writer.put_sectors({"Steel": 0, "Tea": 1})
    evening(settings, market)
    with sqlite3.connect(market.path) as other:
        other.execute("UPDATE sectors SET code = 1 - code")
    other.close()
    with pytest.raises(ModelError, match=r"1 knows the sector 'Steel' as 0, .* 0 as 'Tea'"):
        evening(settings, market)
