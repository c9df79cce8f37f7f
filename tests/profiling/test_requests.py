"""The requests of a profile: fresh pairs that can be answered."""

from datetime import date

import pytest

from preprocess.calendar import day_number
from preprocess.columns import columns_of
from preprocess.errors import StoreError
from preprocess.features.row import MINIMUM_ROWS
from preprocess.profiling.requests import BATCH, ONE, FreshPairs
from preprocess.store.sqlite import SQLiteStore
from tests.builders import history, prices


def test_no_pair_comes_twice_before_all_have_come(demo_store: SQLiteStore) -> None:
    columns = demo_store.columns()
    long = [h for h in demo_store.histories() if len(h.prices) > MINIMUM_ROWS]
    count = sum(min(len(h.prices) - MINIMUM_ROWS, 250) for h in long)
    fresh = FreshPairs(columns, seed=7)
    pairs = [pair for _ in range(3) for pair in fresh.take(count // 3)]
    pairs += fresh.take(count - len(pairs))
    assert len(set(pairs)) == len(pairs) == count
    again = fresh.take(5)
    assert again == pairs[:5]
    assert FreshPairs(columns, seed=7).take(5) == again
    assert FreshPairs(columns, seed=8).take(5) != again
    days = {h.bse_code: h.prices.days for h in long}
    for code, day in pairs[:200]:
        known = days[code] <= day_number(date.fromisoformat(day))
        assert known.sum() > MINIMUM_ROWS
        assert len(known) - known.sum() < 250


def test_a_market_of_short_histories_says_what_to_do() -> None:
    with pytest.raises(StoreError, match="tezi demo"):
        FreshPairs(columns_of([history("500001", prices([100.0] * MINIMUM_ROWS))]), seed=1)


def test_shapes_go_where_the_gateway_takes_them() -> None:
    assert (ONE.rows, ONE.path) == (1, "/api/v1/predict")
    assert (BATCH.rows, BATCH.path) == (100, "/api/v1/batch_predict")
