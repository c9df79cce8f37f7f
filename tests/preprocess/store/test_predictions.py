"""Stored answers of the evening run."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

from preprocess.market.values import DailyPrediction, Tally
from preprocess.store.sqlite.store import SQLiteStore

DAY = date(2024, 5, 31)
NOW = datetime(2024, 6, 3, 14, tzinfo=UTC)
ROW = DailyPrediction("500100", DAY, 2, 1, 0.03588449954986572, "HIGH", "fp32", NOW)
LATER = NOW + timedelta(hours=1)


def put(store: SQLiteStore, rows: Sequence[DailyPrediction]) -> Tally:
    with store.transaction() as writer:
        tally = writer.put_predictions(rows)
        assert writer.touched == {}
    return tally


def test_rows_are_read_back_by_day_and_version(store: SQLiteStore) -> None:
    others = [
        replace(ROW, bse_code="500050"),
        replace(ROW, model_version=3),
        replace(ROW, prediction_date=date(2024, 5, 30)),
    ]
    before = store.mark()
    assert put(store, [ROW, *others]) == Tally(4, 0, 0)
    assert store.predictions(DAY, 2) == [others[0], ROW]
    assert store.predictions(DAY, 3) == [others[1]]
    assert store.predictions(DAY, 4) == []
    assert store.mark() == before
    assert store.span().counts["daily_predictions"] == 4


def test_equal_predictions_stay_and_different_ones_are_replaced(store: SQLiteStore) -> None:
    put(store, [ROW, replace(ROW, bse_code="500200")])
    changed = replace(ROW, bse_code="500200", variant="int8", created_at=LATER)
    new = replace(ROW, bse_code="500300", created_at=LATER)
    assert put(store, [replace(ROW, created_at=LATER), changed, new]) == Tally(1, 1, 1)
    assert store.predictions(DAY, 2) == [ROW, changed, new]


def test_moments_are_kept_as_utc(store: SQLiteStore) -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    put(store, [replace(ROW, created_at=NOW.astimezone(india))])
    (found,) = store.predictions(DAY, 2)
    assert found.created_at == NOW
    assert found.created_at.utcoffset() == timedelta(0)


def test_rows_are_taken_out_by_key(store: SQLiteStore) -> None:
    put(store, [ROW, replace(ROW, bse_code="500200"), replace(ROW, model_version=3)])
    with store.transaction() as writer:
        assert writer.drop_predictions(DAY, 2, []) == 0
        assert writer.drop_predictions(DAY, 2, ["500100", "599999"]) == 1
    assert [row.bse_code for row in store.predictions(DAY, 2)] == ["500200"]
    assert len(store.predictions(DAY, 3)) == 1
