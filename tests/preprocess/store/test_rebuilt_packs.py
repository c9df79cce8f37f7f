"""Rebuilt packs: rows that were edited by hand are repaired and logged as changed."""

from datetime import date

import pytest

from gateway.maintenance.run import maintain, selected_tasks
from preprocess.features.derive import refresh_derived
from preprocess.store import Store, open_upkeep
from tests.builders import bars, result
from tests.preprocess.store.markets import TestDatabase


def rebuilt(database: TestDatabase) -> str:
    """What the task says of it."""
    settings = database.settings()
    upkeep = open_upkeep(settings)
    database.closing.callback(upkeep.close)
    (task,) = maintain(upkeep, settings, selected_tasks(["packs"]))
    assert not task.failed, task.detail
    return task.detail


@pytest.fixture
def market(store: Store) -> Store:
    with store.transaction() as writer:
        for code in ("500001", "500002"):
            writer.put_prices(bars(code, [10.0] * 30, first=date(2023, 12, 20)))
            writer.put_results([(code, result(2023, 3, announced=date(2024, 1, 10)))])
        refresh_derived(writer, circuit_pct=5.0)
    return store


def test_an_untouched_market_stays_as_it_is(database: TestDatabase, market: Store) -> None:
    mark = market.mark()
    assert rebuilt(database) == "packs of 2 stocks rebuilt, 0 differed"
    assert market.mark() == mark


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE price_movements SET close = 10.5, high = 11 WHERE bse_code = '500001'"
        " AND date = '2024-01-02'",
        "DELETE FROM price_movements WHERE bse_code = '500001' AND date < '2024-01-01'",
        "INSERT INTO price_movements (bse_code, date, open, high, low, close, volume)"
        " VALUES ('500001', '2022-01-03', 1, 1, 1, 1, 1)",
        "UPDATE historical_financials SET eps = 7 WHERE bse_code = '500001'",
        "DELETE FROM price_packs WHERE bse_code = '500001'",
        "DELETE FROM stock_packs WHERE bse_code = '500001'",
        "UPDATE price_packs SET year = 1999 WHERE bse_code = '500001' AND year = 2023",
    ],
)
def test_rows_and_packs_that_part_are_brought_together(
    database: TestDatabase, market: Store, edit: str
) -> None:
    before = market.mark()
    database.run(edit)
    assert rebuilt(database) == "packs of 2 stocks rebuilt, 1 differed"
    history = market.history("500001")
    columns = market.columns(["500001"])
    assert history is not None
    assert columns.prices["close"].tolist() == history.prices.close.tolist()
    assert columns.prices["day"].tolist() == history.prices.days.tolist()
    assert columns.results["eps"].tolist() == [found.eps for found in history.results]
    assert columns.labels.rows == len(history.labels)
    (change,) = market.changes_since(before.sequence)
    assert (change.bse_code, change.first_day) == ("500001", date.min)
    assert rebuilt(database) == "packs of 2 stocks rebuilt, 0 differed"


def test_what_follows_from_the_rows_follows(database: TestDatabase, market: Store) -> None:
    database.run(
        "UPDATE price_movements SET close = 11, high = 11 WHERE bse_code = '500001'"
        " AND date = '2024-01-11'",
    )
    rebuilt(database)
    edited, other = (market.history(code) for code in ("500001", "500002"))
    assert edited is not None
    assert other is not None
    assert [label.label for label in edited.labels] == [1]
    assert [label.label for label in other.labels] == [0]


def test_packs_of_a_stock_that_is_gone_go_too(database: TestDatabase, market: Store) -> None:
    before = market.mark()
    database.run("DELETE FROM stocks WHERE bse_code = '500002'")
    assert rebuilt(database) == "packs of 1 stocks rebuilt, 1 differed"
    assert market.columns().codes.tolist() == [b"500001"]
    assert [change.bse_code for change in market.changes_since(before.sequence)] == ["500002"]
