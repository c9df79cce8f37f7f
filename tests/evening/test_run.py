"""Whole runs over a small market: resumed, repeated, swapped under, and broken in every way."""

import asyncio
import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from preprocess.confidence import confidence
from preprocess.errors import EveningError, ModelError, ServerError, StoreError
from preprocess.evening.outcome import Reason
from preprocess.evening.report import Report
from preprocess.evening.run import Order, run_evening
from preprocess.evening.scoring import Patience
from preprocess.evening.selection import Wish
from preprocess.market import Stock
from preprocess.repository.files import write_atomically
from preprocess.settings import Settings
from preprocess.store import sqlite
from preprocess.store.sqlite import SQLiteStore
from tests.builders import bars
from tests.evening.conftest import CODES
from tests.evening.fakes import GONE, NOW, FakeTriton, Row, usual

pytestmark = pytest.mark.usefixtures("small_batches")

DAY = date(2024, 5, 31)
QUICK = Patience(answer=2.0, tries=2, first_pause=0.01)
ORDER = Order()
SHORT = Row(status="SHORT_HISTORY", probability=float("nan"), as_of="")


def rows(code: str) -> Row:
    """What the usual Triton answers: the stock without prices has a short history."""
    return SHORT if code == "599998" else usual(code)


@pytest.fixture(autouse=True)
def _usual_rows(triton: FakeTriton) -> None:
    triton.row = rows


async def evening(
    settings: Settings, store: SQLiteStore, order: Order = ORDER, *, hours: int = 0
) -> Report:
    """A run that began `hours` after the first one."""
    now = NOW + timedelta(hours=hours)
    return await run_evening(
        settings, store, order, now=now, advance=lambda done, total: None, patience=QUICK
    )


def folder(settings: Settings) -> Path:
    return settings.home / "reports" / "predictions" / "2024-05-31"


def content(settings: Settings) -> tuple[bytes, bytes]:
    """The two files of predictions."""
    here = folder(settings)
    return (here / "predictions.csv").read_bytes(), (here / "predictions.json").read_bytes()


def journal(settings: Settings) -> dict[str, Any]:
    page: dict[str, Any] = json.loads((folder(settings) / "journal.json").read_bytes())
    return page


async def test_everything_is_stored_written_and_reported(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    told: list[tuple[int, int]] = []
    triton.row = lambda code: Row(0.6, "2024-05-30") if code == CODES[1] else rows(code)
    report = await run_evening(
        settings, market, ORDER, now=NOW, advance=lambda *now: told.append(now), patience=QUICK
    )
    assert told[0] == (0, 13)
    assert told[-1] == (13, 13)
    assert told == sorted(told)
    stored = market.predictions(DAY, 1)
    assert [row.bse_code for row in stored] == CODES
    assert {row.created_at for row in stored} == {NOW}
    for row in stored:
        assert row.predicted_label == (row.probability >= 0.5)
        assert row.confidence == confidence(row.probability)
        assert row.variant == "fp32"
    document = json.loads(content(settings)[1])
    assert [row["probability"] for row in document["predictions"]] == [
        row.probability for row in stored
    ]
    assert document["predictions"][0]["nse_symbol"] == "FIRST"
    assert document["predictions"][1] == {
        "bse_code": CODES[1],
        "nse_symbol": "UNKNOWN",
        "prediction_date": "2024-05-31",
        "as_of": "2024-05-30",
        "predicted_label": 1,
        "probability": pytest.approx(0.6, abs=1e-7),
        "confidence": "MEDIUM",
        "model_version": 1,
        "variant": "fp32",
    }
    assert document["skipped"] == [{"bse_code": "599998", "reason": "NO_PRICES"}]
    summary = report.summary
    assert (report.stocks, summary.scored, summary.positives) == (13, 12, 7)
    assert sum(summary.confidence.values()) == 12
    assert [row.bse_code for row in summary.top[:2]] == [CODES[-1], CODES[-2]]
    assert summary.versions == {1: 12}
    assert [row.bse_code for row in summary.old_prices] == [CODES[1]]
    assert report.thresholds == {1: 0.5}
    assert (report.table.added, report.wire.requests, report.failed) == (12, 7, False)
    shares = {stage.name: stage.share for stage in report.timing.stages}
    assert shares["features, in Triton"] > 0
    assert report.timing.triton_measured
    assert json.loads((folder(settings) / "report.json").read_bytes())["stocks"] == 13
    text = (folder(settings) / "report.md").read_text()
    assert "12 of 13 stocks scored by fp32 v1, 7 positive (threshold 0.5)" in text
    assert "| 599998 | NO_PRICES |" in text
    assert f"| {CODES[1]} | 2024-05-30 |" in text
    assert journal(settings)["done"] is True


async def test_a_second_run_changes_nothing(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    await evening(settings, market)
    before = market.predictions(DAY, 1), content(settings)
    report = await evening(settings, market, hours=1)
    assert (market.predictions(DAY, 1), content(settings)) == before
    assert (report.table.added, report.table.changed, report.table.unchanged) == (0, 0, 12)
    assert len(triton.codes()) == 2 * 13, "a run that was done is no reason to skip the scoring"


async def test_a_triton_that_dies_is_an_error_and_the_next_run_goes_on(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    def dying(number: int) -> None:
        triton.failures = [GONE] if number > 5 else []

    triton.before = dying
    with pytest.raises(EveningError, match="What was scored is kept"):
        await evening(settings, market)
    assert len(market.predictions(DAY, 1)) == 10
    assert not (folder(settings) / "predictions.csv").exists()
    triton.before = lambda number: None
    triton.asked.clear()
    report = await evening(settings, market, hours=1)
    assert triton.codes() == [*CODES[10:], "599998"]
    assert (report.resumed, report.started_at) == (10, NOW)
    resumed = market.predictions(DAY, 1), content(settings)
    assert len(resumed[0]) == 12
    with market.transaction() as writer:
        writer.drop_predictions(DAY, 1, CODES)
    await evening(settings, market)
    assert (market.predictions(DAY, 1), content(settings)) == resumed, "not as if never broken off"


def other_market(settings: Settings, store: SQLiteStore, triton: FakeTriton) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars(CODES[0], [11.0]))


def other_version(settings: Settings, store: SQLiteStore, triton: FakeTriton) -> None:
    triton.version = 2


def other_stocks(settings: Settings, store: SQLiteStore, triton: FakeTriton) -> None:
    with store.transaction() as writer:
        writer.put_stocks([Stock(CODES[11], status="suspended")])


@pytest.mark.parametrize("change", [other_market, other_version, other_stocks])
async def test_nothing_is_taken_over_when_something_changed(
    settings: Settings,
    market: SQLiteStore,
    triton: FakeTriton,
    change: Callable[[Settings, SQLiteStore, FakeTriton], None],
) -> None:
    triton.before = lambda number: triton.failures.extend([GONE] if number > 5 else [])
    with pytest.raises(EveningError):
        await evening(settings, market)
    triton.before = lambda number: None
    triton.failures.clear()
    triton.asked.clear()
    change(settings, market, triton)
    report = await evening(settings, market, hours=1)
    assert report.resumed == 0
    assert set(triton.codes()) >= set(CODES[:11])


async def test_rows_lost_from_the_table_are_put_back_by_a_run_that_goes_on(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    triton.before = lambda number: triton.failures.extend([GONE] if number > 5 else [])
    with pytest.raises(EveningError):
        await evening(settings, market)
    with market.transaction() as writer:
        writer.drop_predictions(DAY, 1, CODES)
    triton.before = lambda number: None
    triton.failures.clear()
    await evening(settings, market)
    assert len(market.predictions(DAY, 1)) == 12


async def test_a_version_that_takes_over_computes_all(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    def swap(number: int) -> None:
        triton.version = 2 if number > 3 else 1

    triton.before = swap
    report = await evening(settings, market)
    assert report.summary.versions == {2: 12}
    assert (report.rescored, report.warnings, report.thresholds) == (6, [], {2: 0.25})
    assert [row.bse_code for row in market.predictions(DAY, 2)] == CODES
    labels = {row.bse_code: row.predicted_label for row in market.predictions(DAY, 2)}
    assert labels[CODES[1]] == 0
    assert labels[CODES[3]] == 1


async def test_versions_that_keep_changing_are_listed(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    def flip(number: int) -> None:
        triton.version = 1 + (number % 2)

    triton.before = flip
    report = await evening(settings, market)
    assert set(report.summary.versions) == {1, 2}
    (warning,) = report.warnings
    assert "run again" in warning
    by_version = {row.bse_code: row.model_version for row in report.summary.top}
    for number in (1, 2):
        assert {row.bse_code for row in market.predictions(DAY, number)} >= {
            code for code, version in by_version.items() if version == number
        }


async def test_a_version_that_is_not_published_is_not_guessed_at(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    def swap(number: int) -> None:
        triton.version = 9

    triton.before = swap
    with pytest.raises(ModelError, match="versions/9/"):
        await evening(settings, market)
    assert market.predictions(DAY, 9) == []


async def test_stocks_that_change_during_the_run_are_scored_again(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    def correction(number: int) -> None:
        if number == 4:
            with market.transaction() as writer:
                writer.put_prices(bars(CODES[0], [11.0]))
                writer.put_prices(bars(CODES[5], [11.0], first=date(2024, 6, 3)))
            triton.row = lambda code: Row(0.99) if code == CODES[0] else rows(code)

    triton.before = correction
    report = await evening(settings, market)
    assert (report.rescored, report.warnings) == (1, [])
    assert triton.asked[-1] == [CODES[0]]
    assert market.predictions(DAY, 1)[0].probability == pytest.approx(0.99, abs=1e-6)


async def test_a_stock_that_can_no_longer_be_scored_loses_its_row(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    await evening(settings, market)
    with market.transaction() as writer:
        writer.put_stocks([Stock(CODES[2], status="suspended")])
    triton.row = lambda code: SHORT if code == CODES[1] else rows(code)
    few = await evening(settings, market, Order(Wish(codes=(CODES[0], CODES[1]))))
    assert few.table.dropped == 1
    assert few.files[0].endswith("2024-05-31/sample/predictions.csv")
    report = await evening(settings, market)
    assert report.table.dropped == 1
    assert [row.bse_code for row in market.predictions(DAY, 1)] == [CODES[0], *CODES[3:]]
    assert [(row.bse_code, row.reason) for row in report.summary.skipped] == [
        (CODES[1], Reason.SHORT_HISTORY),
        ("599998", Reason.NO_PRICES),
    ]


async def test_a_stock_that_should_have_been_scored_makes_the_run_a_failure(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    triton.row = lambda code: Row(float("nan")) if code == CODES[1] else rows(code)
    report = await evening(settings, market)
    assert report.failed
    assert len(market.predictions(DAY, 1)) == 11


async def test_a_market_where_nothing_can_be_scored(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    triton.row = lambda code: SHORT
    triton.statistics = False
    report = await evening(settings, market)
    assert (report.summary.scored, len(report.summary.skipped), report.failed) == (0, 13, False)
    assert (report.versions, report.timing.triton_measured) == ("none", False)
    assert market.predictions(DAY, 1) == []
    assert content(settings)[0].count(b"\n") == 1
    assert "Triton gave no statistics" in (folder(settings) / "report.md").read_text()


async def test_files_go_where_they_are_asked_for(
    settings: Settings, market: SQLiteStore, tmp_path: Path
) -> None:
    order = Order(csv=tmp_path / "a" / "p.csv", json=tmp_path / "p.json")
    report = await evening(settings, market, order)
    assert report.files[:2] == [str(order.csv), str(order.json)]
    assert (tmp_path / "a" / "p.csv").is_file()
    assert (tmp_path / "p.json").is_file()
    assert not (folder(settings) / "predictions.csv").exists()


async def test_a_disk_that_is_full_at_the_end_costs_no_scoring(
    settings: Settings,
    market: SQLiteStore,
    triton: FakeTriton,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(path: Path, content: bytes) -> bool:
        if path.name == "predictions.json":
            raise OSError(28, "No space left on device", str(path))
        return write_atomically(path, content)

    monkeypatch.setattr("preprocess.evening.outputs.write_atomically", full)
    with pytest.raises(EveningError, match="No space left"):
        await evening(settings, market)
    assert len(market.predictions(DAY, 1)) == 12
    monkeypatch.undo()
    triton.asked.clear()
    report = await evening(settings, market)
    assert (report.resumed, triton.asked) == (13, [])
    assert journal(settings)["done"] is True


async def test_a_busy_database_is_found_out_before_the_work(
    settings: Settings, market: SQLiteStore, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    ours = SQLiteStore(settings.database_path, write=True)
    with market.transaction(), pytest.raises(StoreError, match="busy"):
        await evening(settings, ours)
    ours.close()
    assert triton.asked == []


async def test_a_database_that_cannot_be_written_is_found_out_before_the_work(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    reading = SQLiteStore(settings.database_path)
    with pytest.raises(StoreError, match="cannot be written"):
        await evening(settings, reading)
    reading.close()
    assert triton.asked == []


async def test_two_runs_do_not_mix(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    results = await asyncio.gather(
        evening(settings, market), evening(settings, market), return_exceptions=True
    )
    assert [type(result) for result in results] == [Report, EveningError]


async def test_a_triton_that_is_not_to_be_asked(
    settings: Settings, market: SQLiteStore, triton: FakeTriton
) -> None:
    with pytest.raises(ModelError, match="Version 1, the stable one, has no int8 variant"):
        await evening(settings, market, Order(variant="int8"))
    elsewhere = settings.model_copy(update={"triton_grpc_port": 9})
    with pytest.raises(ServerError, match=r"No Triton answers at .* --start"):
        await evening(elsewhere, market)
    right = triton.versions_dir
    triton.versions_dir = settings.home / "other"
    shutil.copytree(right, triton.versions_dir)
    path = triton.versions_dir / "1" / "version.json"
    document = json.loads(path.read_text())
    document["variants"]["fp32"]["golden_probability"] = 0.123
    path.write_text(json.dumps(document))
    with pytest.raises(ServerError, match=r"predict_fp32 of Triton at .* came back wrong"):
        await evening(settings, market)
    triton.versions_dir = right
    assert triton.asked == []
