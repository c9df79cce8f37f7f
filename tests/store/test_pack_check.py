"""Packs against rows: what was edited by hand is found, put right and noticed."""

from collections.abc import Callable
from datetime import date

import pytest

from preprocess.derive import refresh_derived
from preprocess.store import Store, Writer
from preprocess.store.tools import tools_for
from preprocess.store.upkeep import PackCheck
from tests.builders import bars, result
from tests.store.places import Place
from tests.store.raw import run


def check(place: Place, derive: Callable[[Writer], None] = lambda _: None) -> PackCheck:
    with tools_for(place.settings()).upkeep(derive) as upkeep:
        return upkeep.check_packs()


@pytest.fixture
def market(store: Store) -> Store:
    with store.transaction() as writer:
        for code in ("500001", "500002"):
            writer.put_prices(bars(code, [10.0] * 30, first=date(2023, 12, 20)))
            writer.put_results([(code, result(2023, 3, announced=date(2024, 1, 10)))])
        refresh_derived(writer, circuit_pct=5.0)
    return store


def test_an_untouched_market_agrees(place: Place, market: Store) -> None:
    mark = market.mark()
    assert check(place) == PackCheck(2)
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
        "DELETE FROM upper_circuit_labels WHERE bse_code = '500001'",
        "DELETE FROM price_packs WHERE bse_code = '500001'",
        "DELETE FROM stock_packs WHERE bse_code = '500001'",
        "UPDATE price_packs SET year = 1999 WHERE bse_code = '500001' AND year = 2023",
    ],
)
def test_rows_and_packs_that_part_are_brought_together(
    place: Place, market: Store, edit: str
) -> None:
    before = market.mark()
    run(place, edit)
    assert check(place) == PackCheck(2, ("500001",))
    history = market.history("500001")
    columns = market.columns(["500001"])
    assert history is not None
    assert columns.prices["close"].tolist() == history.prices.close.tolist()
    assert columns.prices["day"].tolist() == history.prices.days.tolist()
    assert columns.results["eps"].tolist() == [found.eps for found in history.results]
    assert columns.labels.rows == len(history.labels)
    (change,) = market.changes_since(before.sequence)
    assert (change.bse_code, change.first_day) == ("500001", date.min)
    assert check(place) == PackCheck(2)


def test_what_follows_from_the_rows_follows(place: Place, market: Store) -> None:
    run(
        place,
        "UPDATE price_movements SET close = 11, high = 11 WHERE bse_code = '500001'"
        " AND date = '2024-01-11'",
    )
    check(place, lambda writer: refresh_derived(writer, circuit_pct=5.0))
    edited, other = (market.history(code) for code in ("500001", "500002"))
    assert edited is not None
    assert other is not None
    assert [label.label for label in edited.labels] == [1]
    assert [label.label for label in other.labels] == [0]


def test_packs_of_a_stock_that_is_gone_go_too(place: Place, market: Store) -> None:
    before = market.mark()
    run(place, "DELETE FROM stocks WHERE bse_code = '500002'")
    assert check(place) == PackCheck(1, ("500002",))
    assert market.columns().codes.tolist() == [b"500001"]
    assert [change.bse_code for change in market.changes_since(before.sequence)] == ["500002"]
