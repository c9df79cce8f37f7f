"""Keys of cached queries: equal for the same question, different for any other."""

import itertools
import math
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from preprocess.database.cached_queries import is_logged, query_key
from preprocess.errors import StoreError
from preprocess.market import Mark
from preprocess.store.tools import Version

NOW = Version(Mark(7, "a" * 16), Mark(7, "a" * 16))

VALUES: list[object] = [
    *(1, "1", 1.0, True, None, b"1", Decimal(1), "", 0, False, 0.0, -0.0, "None", "True"),
    *(
        date(2026, 8, 14),
        "2026-08-14",
        datetime(2026, 8, 14, tzinfo=UTC),
        2**70,
        math.nan,
        math.inf,
    ),
]


def test_values_of_other_types_have_other_keys() -> None:
    keys = {query_key("SELECT ?", (value,), NOW) for value in VALUES}
    assert len(keys) == len(VALUES)
    assert all(key.startswith("query:") and len(key) == 6 + 64 for key in keys)


def test_nothing_runs_together() -> None:
    parameters: list[tuple[object, ...]] = [
        (),
        ("a", "b"),
        ("ab",),
        ("a,b",),
        ("b", "a"),
        (None, None),
    ]
    keys = {query_key("SELECT 1", given, NOW) for given in parameters}
    keys |= {query_key("SELECT 1", {"a": "b"}, NOW), query_key("SELECT 1", {"b": "a"}, NOW)}
    assert len(keys) == len(parameters) + 2
    assert query_key("SELECT 1", {"x": 1, "y": 2}, NOW) == query_key(
        "SELECT 1", {"y": 2, "x": 1}, NOW
    )


def test_spelling_does_not_count_and_the_state_of_the_market_does() -> None:
    assert query_key("select 1", (), NOW) == query_key("SELECT  1;", (), NOW)
    others = [
        Version(Mark(8, "a" * 16), NOW.samples),
        Version(Mark(7, "b" * 16), NOW.samples),
        Version(NOW.market, Mark(6, "a" * 16)),
    ]
    keys = {query_key("SELECT 1", (), version) for version in (NOW, *others)}
    assert len(keys) == 4


def test_a_type_that_no_column_has_is_refused() -> None:
    with pytest.raises(StoreError, match="type list"):
        query_key("SELECT ?", ([1],), NOW)


@pytest.mark.parametrize(
    ("sql", "logged"),
    [
        ("SELECT * FROM price_movements", True),
        ("SELECT * FROM announcement_samples JOIN stocks", True),
        ("SELECT * FROM daily_predictions", False),
        ('SELECT * FROM "Daily_Predictions"', False),
        ("SELECT count(*) FROM change_log", False),
        ("SELECT * FROM sqlite_master", False),
        ("SELECT * FROM pg_class", False),
        ("SELECT 'daily_predictions' FROM stocks", True),
    ],
)
def test_what_the_change_log_says_nothing_of_is_not_cached(sql: str, logged: bool) -> None:
    assert is_logged(sql, NOW) is logged
    assert not is_logged(sql, Version(Mark(), Mark()))


def test_values_are_told_apart_pairwise() -> None:
    for one, other in itertools.combinations(VALUES, 2):
        assert query_key("SELECT ?", (one,), NOW) != query_key("SELECT ?", (other,), NOW)
