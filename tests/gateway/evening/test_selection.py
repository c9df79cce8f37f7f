"""Which stocks are scored for which day, and requests that are refused."""

from datetime import date
from typing import Any

import pytest

from gateway.evening.selection import Selection, select
from preprocess.errors import EveningError
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import bars
from tests.gateway.evening.conftest import CODES

NEWEST = date(2024, 5, 31)


def chosen(store: SQLiteStore, **request: Any) -> Selection:
    return select(store, today=date(2024, 6, 3), max_age_sessions=5, **request)


def test_every_active_stock_for_the_newest_day(market: SQLiteStore) -> None:
    found = chosen(market)
    assert (found.day, found.whole, list(found.stocks)) == (NEWEST, True, [*CODES, "599998"])
    assert found.inactive == ["599999"]
    assert found.oldest == date(2024, 5, 24)  # a Friday, five sessions before


def test_a_few_stocks_by_code_each_once_and_in_order(market: SQLiteStore) -> None:
    found = chosen(market, codes=(CODES[3], "599999", CODES[1], CODES[3]), day=date(2024, 3, 1))
    assert (found.day, found.whole) == (date(2024, 3, 1), False)
    assert list(found.stocks) == [CODES[1], CODES[3]]
    assert found.inactive == ["599999"]


def test_a_limit(market: SQLiteStore) -> None:
    found = chosen(market, limit=2)
    assert (found.whole, list(found.stocks), found.inactive) == (False, CODES[:2], [])


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"day": date(2024, 6, 4)}, "2024-06-04 is in the future: today in Mumbai is 2024-06-03"),
        ({"day": date(2023, 12, 31)}, "before all data: the first price is dated 2024-01-01"),
        ({"codes": ("50010", "50010a")}, "six digits, unlike 50010, 50010a"),
        ({"codes": ("599997", "500100")}, "No stock in the database has the code 599997"),
        ({"codes": tuple(f"{n:06d}" for n in range(12))}, "000009 and 2 more"),
    ],
)
def test_what_is_refused(market: SQLiteStore, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(EveningError, match=message):
        chosen(market, **request_)


def test_a_database_without_prices(store: SQLiteStore) -> None:
    with pytest.raises(EveningError, match="tezi import prices"):
        chosen(store)


def test_prices_of_days_to_come_are_no_default(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [10.0], first=date(2024, 6, 4)))
    with pytest.raises(EveningError, match="in the future"):
        chosen(store)
