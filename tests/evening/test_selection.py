"""Which stocks are scored as of which day, and wishes that cannot be met."""

from datetime import date

import pytest

from preprocess.errors import EveningError
from preprocess.evening.outcome import Reason, Skipped
from preprocess.evening.selection import Selection, Wish, select
from preprocess.store.sqlite import SQLiteStore
from tests.builders import bars
from tests.evening.conftest import CODES

TODAY = date(2024, 6, 3)
NEWEST = date(2024, 5, 31)


def chosen(store: SQLiteStore, **wish: object) -> Selection:
    return select(store, Wish(**wish), today=TODAY)  # type: ignore[arg-type]  # a test's own keywords


def test_every_active_stock_as_of_the_newest_day(market: SQLiteStore) -> None:
    found = chosen(market)
    assert (found.day, found.whole, found.codes) == (NEWEST, True, [*CODES, "599998"])
    assert found.left_out == ()
    assert found.priced == {*CODES, "599999"}
    assert found.mark == market.mark()


def test_a_few_stocks_by_code_each_once_and_in_order(market: SQLiteStore) -> None:
    found = chosen(market, codes=(CODES[3], "599999", CODES[1], CODES[3]), day=date(2024, 3, 1))
    assert (found.day, found.whole, found.codes) == (date(2024, 3, 1), False, [CODES[1], CODES[3]])
    assert found.left_out == (Skipped("599999", Reason.NOT_ACTIVE),)


def test_a_limit(market: SQLiteStore) -> None:
    found = chosen(market, limit=2)
    assert (found.whole, found.codes) == (False, CODES[:2])
    assert found.fingerprint != chosen(market, limit=3).fingerprint
    assert found.fingerprint == chosen(market, codes=tuple(CODES[:2])).fingerprint


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"day": date(2024, 6, 4)}, "2024-06-04 is in the future: today in Mumbai is 2024-06-03"),
        ({"day": date(2023, 12, 31)}, "before all data: the first price is dated 2024-01-01"),
        ({"codes": ("50010", "50010a")}, "six digits; not so '50010', '50010a'"),
        ({"codes": ("599997", "500100")}, "No stock of the database has the code '599997'"),
        ({"codes": tuple(f"{n:06d}" for n in range(12))}, "'000009' and 2 more"),
    ],
)
def test_wishes_that_cannot_be_met(
    market: SQLiteStore, wish: dict[str, object], message: str
) -> None:
    with pytest.raises(EveningError, match=message):
        chosen(market, **wish)


def test_a_database_without_prices(store: SQLiteStore) -> None:
    with pytest.raises(EveningError, match="tezi import prices"):
        chosen(store)


def test_prices_of_days_to_come_are_no_default(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [10.0], first=date(2024, 6, 4)))
    with pytest.raises(EveningError, match="in the future"):
        chosen(store)
