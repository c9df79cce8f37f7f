"""The market as columns: what the packs give is what the rows are, and damage is noticed."""

import sqlite3
from contextlib import closing
from datetime import date
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from preprocess.errors import StoreError
from preprocess.market.columns import columns_of
from preprocess.market.values import Bar, Stock
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import bars, result
from tests.preprocess.store.markets import assert_same_columns, fill

CODES = ["000001", "500001", "500002", "500003", "999998"]


@pytest.fixture
def filled(store: SQLiteStore) -> SQLiteStore:
    fill(store, CODES)
    with store.transaction() as writer:
        writer.put_stocks([Stock("500009")])  # known, and nothing else
        writer.put_prices(bars("500002", [7.0] * 300, date(2022, 11, 1)))  # over two new years
    return store


@pytest.mark.parametrize(
    "asked", [[], ["500002"], ["999998", "000001", "999998"], ["500009", "123456", "x", ""]]
)
def test_columns_of_some_stocks_equal_those_of_all(filled: SQLiteStore, asked: list[str]) -> None:
    known = sorted({code for code in asked if code in {*CODES, "500009"}})
    expected = columns_of(filled.histories(known), filled.mark())
    assert_same_columns(filled.columns(asked), expected)
    assert_same_columns(filled.columns().only(np.array(asked, dtype="S6")), expected)


def test_many_named_stocks_are_read_in_one_pass(
    filled: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("preprocess.store.sqlite.packs._FEW", 2)
    expected = columns_of(filled.histories(CODES[:4]), filled.mark())
    assert_same_columns(filled.columns(CODES[:4]), expected)


def test_bars_at_both_ends_of_the_calendar(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        for day in (date.min, date(1969, 12, 31), date(9998, 12, 31), date(9999, 1, 1), date.max):
            writer.put_prices([Bar("500001", day, 1.0, 1.0, 1.0, 1.0, 1)])
    assert store.columns().prices.rows == 5
    assert_same_columns(store.columns(), columns_of(store.histories(), store.mark()))


def test_replaced_columns_equal_columns_read_again(filled: SQLiteStore) -> None:
    before = filled.columns()
    with filled.transaction() as writer:
        writer.delete_prices("500001", date.min, date.max)
        writer.put_prices(bars("400000", [5.0] * 10))
        writer.put_prices(bars("999999", [5.0] * 10))
        writer.put_results([("500003", result(2023, 1))])
    changed = ["500001", "400000", "999999", "500003"]
    fresh = filled.columns(changed)
    after = before.replaced({code.encode() for code in changed}, fresh)
    assert_same_columns(after, filled.columns())
    assert_same_columns(after, columns_of(filled.histories(), filled.mark()))
    # a changed stock that the fresh columns do not have is gone
    gone = before.replaced({b"500002"}, before.only(np.array(["500001"], dtype="S6")))
    assert gone.codes.tolist() == [c.encode() for c in sorted({*CODES, "500009"} - {"500002"})]


def test_columns_of_nothing(store: SQLiteStore) -> None:
    assert_same_columns(store.columns(), columns_of([]))
    assert store.columns().newest_day() is None
    assert store.columns().nbytes == 5 * 8  # five offsets of no stock


def test_columns_cannot_be_written(filled: SQLiteStore) -> None:
    with pytest.raises(ValueError, match="read-only"):
        filled.columns().prices["close"][0] = 1.0


def test_a_database_of_the_first_schema_is_packed_when_it_is_opened(tmp_path: Path) -> None:
    """A real one: its tables from the first migration, its rows as they were written then."""
    path = tmp_path / "old.db"
    made = SQLiteStore(tmp_path / "new.db", write=True)
    fill(made, CODES)
    script = resources.files("preprocess.store").joinpath("migrations/sqlite/0001_market.sql")
    with closing(sqlite3.connect(path)) as old:
        old.executescript(
            "CREATE TABLE schema_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
            " applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);"
            "INSERT INTO schema_migrations (number, name) VALUES (1, 'market');"
            + script.read_text("utf-8")
        )
        old.execute("ATTACH ? AS made", (str(made.path),))
        for table in (
            "stocks",
            "price_movements",
            "historical_financials",
            "corporate_actions",
            "upper_circuit_labels",
            "static_features",
        ):
            columns = ", ".join(row[1] for row in old.execute(f"PRAGMA main.table_info({table})"))
            old.execute(f"INSERT INTO {table} SELECT {columns} FROM made.{table}")
        old.execute("INSERT INTO change_log SELECT sequence, bse_code, date FROM made.change_log")
        old.commit()
    with closing(SQLiteStore(path, write=True)) as migrated:
        found = migrated.columns()
        assert_same_columns(found, columns_of(made.histories(), found.mark))
    made.close()


OF_ONE_STOCK = [
    "UPDATE price_packs SET data = substr(data, 1, 100) WHERE bse_code = '500001' AND year = 2024",
    "UPDATE price_packs SET data = CAST(data || data AS BLOB) WHERE bse_code = '500001'",
    "UPDATE stock_packs SET results = substr(results, 2) WHERE bse_code = '500001'",
]
OF_WHOLE_PACKS = [
    "UPDATE price_packs SET bse_code = '500008' WHERE bse_code = '500001' AND year = 2024",
    "DELETE FROM stock_packs WHERE bse_code = '500002'",
]


@pytest.mark.parametrize("damage", OF_ONE_STOCK + OF_WHOLE_PACKS)
def test_a_damaged_pack_is_an_error_and_no_answer(filled: SQLiteStore, damage: str) -> None:
    with filled.transaction() as writer:
        writer.put_prices(bars("500001", [7.0] * 300, date(2022, 11, 1)))  # years beside 2024
    with closing(sqlite3.connect(filled.path)) as direct:
        assert direct.execute(damage).rowcount > 0
        direct.commit()
    with pytest.raises(StoreError, match="tezi maintain"):
        filled.columns()
    if damage in OF_ONE_STOCK:
        with pytest.raises(StoreError, match="tezi maintain"):
            filled.columns(["500001"])
