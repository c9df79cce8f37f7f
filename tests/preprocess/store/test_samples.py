"""The announcement samples: what was known on each day, after any sequence of changes."""

from contextlib import closing
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preprocess.market.calendar import FiscalQuarter
from preprocess.market.values import CircuitLabel, Stock
from preprocess.settings import Settings
from preprocess.store import Store, open_pool, open_upkeep
from preprocess.store.queries import SAMPLES
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import bars, result
from tests.preprocess.store.markets import TestDatabase
from tests.preprocess.store.plain_samples import CODES, Data, plain_samples, stock_data

Sample = tuple[Any, ...]


@pytest.fixture
def tezi(database: TestDatabase) -> Settings:
    return database.settings()


def refreshed(tezi: Settings) -> list[Sample]:
    """The samples of the newest commit."""
    with closing(open_upkeep(tezi)) as upkeep, closing(open_pool(tezi, size=1)) as pool:
        count = upkeep.refresh_samples()
        rows = list(pool.rows(SAMPLES).rows)
    assert count == len(rows)
    return rows


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(st.lists(stock_data(), min_size=1, max_size=3), min_size=1, max_size=2))
def test_after_any_changes_the_samples_are_those_of_a_plain_join(
    store: Store, tezi: Settings, changes: list[list[Data]]
) -> None:
    with store.transaction() as writer:
        for code in CODES:
            writer.delete_prices(code, date.min, date.max)
            writer.replace_labels(code, [])
    for change in changes:
        with store.transaction() as writer:
            for data in change:
                data.write(writer)
        assert refreshed(tezi) == plain_samples(store.histories())


def test_a_stock_that_is_not_listed_has_no_sample(store: Store, tezi: Settings) -> None:
    with store.transaction() as writer:
        label = CircuitLabel(date(2024, 1, 1), date(2024, 1, 2), 1.0, 0)
        writer.replace_labels("500001", [label])
    assert refreshed(tezi) == []
    with store.transaction() as writer:
        writer.put_stocks([Stock("500001")])
    assert [sample[0] for sample in refreshed(tezi)] == ["500001"]


def test_what_becomes_known_later_is_not_in_a_sample(store: Store, tezi: Settings) -> None:
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
    before = refreshed(tezi)
    assert before == plain_samples(store.histories())
    with store.transaction() as writer:
        later = earned + timedelta(days=1)
        writer.put_prices(bars("500001", [99.0] * 30, first=later))
        writer.put_results(
            [
                ("500001", result(2025, 2, eps=99.0, announced=later)),
                ("500001", result(2025, 3, eps=99.0, announced=None)),
            ]
        )
    assert refreshed(tezi) == before


@pytest.mark.parametrize("quarter", [1, 2, 3, 4])
def test_the_filing_limit_is_that_of_the_calendar(
    store: Store, tezi: Settings, quarter: int
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
    assert [sample[7] for sample in refreshed(tezi)] == [None, limit.isoformat()]


@pytest.mark.market_data
def test_on_the_real_market(real_market: Settings, real_store: SQLiteStore) -> None:
    found = refreshed(real_market)
    assert len(found) > 5_000
    assert found == plain_samples(real_store.histories())
