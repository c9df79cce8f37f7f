"""The announcement samples: what was known on each day, after any sequence of changes."""

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preprocess.calendar import FiscalQuarter
from preprocess.market import CircuitLabel, Mark, Stock
from preprocess.samples import Refreshed, Samples
from preprocess.settings import Settings
from preprocess.store import Store
from preprocess.store.sqlite import SQLiteStore
from preprocess.store.tools import DatabaseTools, tools_for
from tests.builders import bars, result
from tests.store.places import Place
from tests.store.plain_samples import CODES, Data, plain_samples, stock_data
from tests.store.raw import run


def refresh(tools: DatabaseTools) -> Refreshed:
    with tools.upkeep(lambda _: None) as upkeep:
        return upkeep.refresh_samples()


@pytest.fixture
def tools(place: Place) -> DatabaseTools:
    return tools_for(place.settings())


def emptied(store: Store) -> None:
    with store.transaction() as writer:
        for code in CODES:
            writer.delete_prices(code, date.min, date.max)
            writer.replace_labels(code, [])


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(st.lists(stock_data(), min_size=1, max_size=3), min_size=1, max_size=3))
def test_after_any_changes_the_samples_are_those_of_a_plain_join(
    store: Store, tools: DatabaseTools, changes: list[list[Data]]
) -> None:
    emptied(store)
    for change in changes:
        with store.transaction() as writer:
            for data in change:
                data.write(writer)
        refresh(tools)
        assert tools.samples() == Samples(store.mark(), tuple(plain_samples(store.histories())))


def test_only_stocks_that_changed_are_computed(store: Store, tools: DatabaseTools) -> None:
    with store.transaction() as writer:
        for code in CODES:
            writer.put_prices(bars(code, [1.0, 2.0, 3.0]))
            writer.replace_labels(code, [CircuitLabel(date(2024, 1, 2), date(2024, 1, 3), 1.0, 0)])
    first = refresh(tools)
    assert (first.stocks, first.rows, first.whole) == (3, 3, True)
    again = refresh(tools)
    assert (again.stocks, again.whole) == (0, False)
    with store.transaction() as writer:
        writer.put_prices(bars(CODES[1], [1.0, 2.25]))
    third = refresh(tools)
    assert (third.stocks, third.whole, third.mark) == (1, False, store.mark())
    assert [sample.close for sample in tools.samples().rows] == [2.0, 2.25, 2.0]
    assert [s.bse_code for s in tools.samples([CODES[1], "123456", CODES[1]]).rows] == [CODES[1]]


def test_a_stock_that_is_not_listed_has_no_sample(store: Store, tools: DatabaseTools) -> None:
    label = CircuitLabel(date(2024, 1, 1), date(2024, 1, 2), 1.0, 0)
    for code in ("500001", "500002"):
        with store.transaction() as writer:
            writer.replace_labels(code, [label])
        refresh(tools)
        assert tools.samples().rows == ()
    with store.transaction() as writer:
        writer.put_stocks([Stock("500001")])
    refresh(tools)
    assert [sample.bse_code for sample in tools.samples().rows] == ["500001"]


def test_what_becomes_known_later_is_not_in_a_sample(store: Store, tools: DatabaseTools) -> None:
    earned = date(2024, 8, 14)
    label = CircuitLabel(earned, date(2024, 8, 16), 5.5, 1)
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [5.0, 6.0], first=date(2024, 8, 13)))
        writer.put_results(
            [
                ("500001", result(2024, 4, eps=4.0, announced=date(2024, 5, 30))),
                ("500001", result(2025, 1, eps=1.0, announced=earned)),
            ]
        )
        writer.replace_labels("500001", [label])
    refresh(tools)
    (before,) = tools.samples().rows
    assert (before.close, before.eps, before.known_on) == (6.0, 1.0, earned)
    with store.transaction() as writer:
        later = earned + timedelta(days=1)
        writer.put_prices(bars("500001", [99.0] * 30, first=later))
        writer.put_results(
            [
                ("500001", result(2025, 2, eps=99.0, announced=later)),
                ("500001", result(2025, 3, eps=99.0, announced=None)),
            ]
        )
    refresh(tools)
    assert tools.samples().rows == (before,)


@pytest.mark.parametrize("quarter", [1, 2, 3, 4])
def test_the_filing_limit_is_that_of_the_calendar(
    store: Store, tools: DatabaseTools, quarter: int
) -> None:
    unknown = result(2024, quarter, announced=None)
    limit = unknown.known_on
    assert unknown.quarter == FiscalQuarter(2024, quarter)
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [1.0]))
        writer.put_results([("500001", unknown)])
        writer.replace_labels(
            "500001",
            [
                CircuitLabel(day, day + timedelta(days=1), 0.0, 0)
                for day in (limit - timedelta(days=1), limit)
            ],
        )
    refresh(tools)
    assert [sample.known_on for sample in tools.samples().rows] == [None, limit]


def test_another_databases_mark_makes_everything_anew(
    place: Place, store: Store, tools: DatabaseTools
) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [1.0, 2.0]))
        writer.replace_labels("500001", [CircuitLabel(date(2024, 1, 1), date(2024, 1, 2), 1.0, 0)])
    refresh(tools)
    expected = tools.samples()
    run(place, f"UPDATE derived_marks SET sequence = 1, token = '{'f' * 16}'")
    assert tools.samples().mark == Mark(1, "f" * 16)
    assert refresh(tools).whole
    assert tools.samples() == expected


@pytest.mark.market_data
def test_on_the_real_market(real_market: Settings, real_store: SQLiteStore) -> None:
    tools = tools_for(real_market)
    refresh(tools)
    found = tools.samples()
    assert len(found.rows) > 5_000
    assert found == Samples(real_store.mark(), tuple(plain_samples(real_store.histories())))
    assert all(
        (sample.known_on or sample.earnings_date) <= sample.earnings_date
        and (sample.price_date or sample.earnings_date) <= sample.earnings_date
        for sample in found.rows
    )
