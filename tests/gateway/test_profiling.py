"""A profile: its parts add up, and its requests are new to every cache."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.profiling import Profile, fresh_pairs
from preprocess.errors import StoreError
from preprocess.features.row import MINIMUM_ROWS
from preprocess.market.calendar import from_day_number
from preprocess.market.columns import columns_of
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import history, prices

ms = st.floats(0.001, 100.0)


@given(st.builds(Profile, st.just(1), st.just(50), st.just({"p50": 1.0}), *[ms] * 7))
def test_the_parts_are_the_whole(profile: Profile) -> None:
    assert sum(profile.parts.values()) == pytest.approx(profile.end_to_end)
    top = [profile.parts[name] for name in profile.top]
    assert top == sorted(profile.parts.values(), reverse=True)[:3]


def test_the_three_most_expensive_parts_are_named() -> None:
    profile = Profile(100, 50, {"p50": 9.5}, 10.0, 8.0, 7.0, 5.0, 0.5, 2.5, 1.25)
    assert "100 stocks per request, 50 requests, one at a time (p50 9.500 ms):" in profile.text()
    wanted = "Top three: feature lookup (25%), client and HTTP (20%), HTTP to Triton and back (20%)"
    assert wanted in profile.text()


def test_no_pair_comes_twice_before_all_have_come(demo_store: SQLiteStore) -> None:
    columns = demo_store.columns()
    count = sum(min(max(len(h.prices) - MINIMUM_ROWS, 0), 250) for h in demo_store.histories())
    pairs = fresh_pairs(columns, count + 5)
    assert len(set(pairs[:count])) == count
    assert pairs[count:] == pairs[:5]
    days = {
        h.bse_code: {from_day_number(day).isoformat() for day in h.prices.days.tolist()}
        for h in demo_store.histories()
    }
    assert all(day in days[code] for code, day in pairs)
    with pytest.raises(StoreError, match="tezi demo"):
        fresh_pairs(columns_of([history("500001", prices([100.0] * MINIMUM_ROWS))]), 1)
