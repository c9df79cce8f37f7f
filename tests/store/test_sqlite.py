"""The embedded store: what is written is read back, whole or not at all."""

import math
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from preprocess.errors import StoreError
from preprocess.market import Bar, CircuitLabel, CorporateAction, StaticRow, Stock
from preprocess.settings import load_settings
from preprocess.store import Writer, open_store
from preprocess.store.migrations import migrate, migrations
from preprocess.store.sqlite import SQLiteStore
from tests.builders import MONDAY, bars, result


def test_everything_written_is_read_back(store: SQLiteStore) -> None:
    action = CorporateAction(date(2024, 1, 3), "split", 5.0, "10 to 2")
    label = CircuitLabel(date(2024, 1, 2), date(2024, 1, 3), 6.5, 1)
    stamp = StaticRow("2024-01", "Steel", 3, 1234.5, 2)
    stock = Stock("012345", "ABC", "A B C Ltd", "INE000A01010", "Steel")
    with store.transaction() as writer:
        writer.put_stocks([stock])
        writer.put_prices(bars("012345", [10.0, 10.5, 11.0]))
        writer.put_results([("012345", result(2024, 2, eps=math.nan))])
        writer.put_actions([("012345", action)])
        writer.put_statics([("012345", stamp)])
        writer.replace_labels("012345", [label])
    found = store.history("012345")
    assert found is not None
    assert found.prices.close.tolist() == [10.0, 10.5, 11.0]
    assert found.prices.days.tolist() == [19723, 19724, 19725]
    assert not found.prices.adjusted.any()
    assert (found.actions, found.labels, found.statics) == ((action,), (label,), (stamp,))
    assert math.isnan(found.results[0].eps)
    assert replace(found.results[0], eps=1.0) == result(2024, 2)
    assert store.stocks() == [stock]
    assert store.sector_codes() == {"Steel": 3}
    assert store.listings()[0].newest_price == date(2024, 1, 3)


def test_unknown_stock_has_no_history(store: SQLiteStore) -> None:
    assert store.history("999999") is None
    assert list(store.histories(["999999"])) == []


def test_tally_and_change_log_tell_new_changed_and_same(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        tally = writer.put_prices(bars("500001", [1.0, 2.0, 3.0]))
    assert (tally.added, tally.changed, tally.unchanged) == (3, 0, 0)
    with store.transaction() as writer:
        tally = writer.put_prices(bars("500001", [1.0, 2.5, 3.0, 4.0]))
        assert writer.touched == {"500001": date(2024, 1, 2)}
    assert (tally.added, tally.changed, tally.unchanged) == (1, 1, 2)
    before = store.sequence()
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [1.0, 2.5, 3.0, 4.0]))
    assert store.sequence() == before
    assert [(c.bse_code, c.first_day) for c in store.changes_since(0)] == [
        ("500001", MONDAY),
        ("500001", date(2024, 1, 2)),
    ]


def test_missing_figures_do_not_erase_known_ones(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        writer.put_results([("500001", result(2024, 1, revenue=5.0))])
        writer.put_stocks([Stock("500001", "ABC", "Name", None, "Steel")])
    with store.transaction() as writer:
        holed = result(2024, 1, revenue=math.nan, pat=7.0, announced=None)
        assert writer.put_results([("500001", holed)]).changed == 1
        assert writer.put_stocks([Stock("500001", None, None, None, None)]).unchanged == 1
    found = store.history("500001")
    assert found is not None
    assert found.results == (result(2024, 1, revenue=5.0, pat=7.0),)
    assert store.stocks()[0].nse_symbol == "ABC"


def test_an_industry_touches_every_day_and_a_name_none(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        writer.put_stocks([Stock("500001", industry="Steel"), Stock("500002")])
        writer.put_stocks([Stock("500001", company_name="Name")])
    days = {change.bse_code: change.first_day for change in store.changes_since(0)}
    assert days == {"500001": date.min, "500002": date.max}


def test_replaced_labels_are_gone(store: SQLiteStore) -> None:
    first = CircuitLabel(date(2024, 1, 2), date(2024, 1, 3), 6.5, 1)
    second = CircuitLabel(date(2024, 4, 2), date(2024, 4, 3), 1.5, 0)
    with store.transaction() as writer:
        writer.put_stocks([Stock("500001")])
        writer.replace_labels("500001", [first, second])
    with store.transaction() as writer:
        tally = writer.replace_labels("500001", [second])
        assert writer.touched == {"500001": first.next_day_date}
    assert (tally.changed, tally.unchanged) == (1, 1)
    found = store.history("500001")
    assert found is not None
    assert found.labels == (second,)


def test_a_transaction_that_fails_leaves_nothing(store: SQLiteStore) -> None:
    def fail() -> None:
        with store.transaction() as writer:
            writer.put_prices(bars("500001", [1.0, 2.0]))
            raise KeyError("on purpose")

    with pytest.raises(KeyError):
        fail()
    assert store.span().price_rows == 0
    assert store.sequence() == 0


def test_a_savepoint_that_fails_undoes_itself_only(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [1.0]))
        with pytest.raises(KeyError):
            _write_part_and_fail(writer)
        assert set(writer.touched) == {"500001"}
    assert store.bse_codes() == ["500001"]


def _write_part_and_fail(writer: Writer) -> None:
    with writer.savepoint():
        writer.put_prices(bars("500002", [1.0]))
        raise KeyError("on purpose")


def test_impossible_rows_are_refused_by_the_schema(store: SQLiteStore) -> None:
    bad = replace(bars("500001", [1.0])[0], high=0.5)
    with pytest.raises(StoreError, match="refused"):
        _write(store, [bad])
    assert store.bse_codes() == []


def _write(store: SQLiteStore, rows: list[Bar]) -> None:
    with store.transaction() as writer:
        writer.put_prices(rows)


def test_reader_sees_the_last_commit_while_a_writer_is_at_work(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    writing = SQLiteStore(path, write=True)
    reading = SQLiteStore(path)
    with writing.transaction() as writer:
        writer.put_prices(bars("500001", [1.0]))
        assert reading.bse_codes() == []
    assert reading.bse_codes() == ["500001"]
    reading.close()
    writing.close()


def test_readers_cannot_write(tmp_path: Path) -> None:
    SQLiteStore(tmp_path / "m.db", write=True).close()
    reading = SQLiteStore(tmp_path / "m.db")
    with pytest.raises(StoreError, match="cannot be written"):
        _write(reading, bars("500001", [1.0]))
    reading.close()


def test_closing_twice_is_fine_and_reading_after_it_is_an_error(store: SQLiteStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.bse_codes()


def test_migrations_are_numbered_without_gaps_and_applied_once(tmp_path: Path) -> None:
    assert [step.number for step in migrations()] == list(range(1, len(migrations()) + 1))
    connection = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
    assert [step.number for step in migrate(connection)] == [step.number for step in migrations()]
    assert migrate(connection) == []
    connection.close()


def test_a_migration_that_fails_leaves_the_schema_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migrations()
    broken = replace(
        steps[0], number=len(steps) + 1, sql="CREATE TABLE extra (a);\nCREATE TABLE extra (a);"
    )
    monkeypatch.setattr("preprocess.store.migrations.migrations", lambda: [*steps, broken])
    with pytest.raises(StoreError):
        SQLiteStore(tmp_path / "m.db", write=True)
    connection = sqlite3.connect(tmp_path / "m.db")
    newest = connection.execute("SELECT max(number) FROM schema_migrations").fetchone()
    assert newest == (len(steps),)
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "extra" not in names


@pytest.mark.parametrize(
    ("number", "advice"), [(99, "update Tezi"), (0, "tezi migrate")], ids=["newer", "older"]
)
def test_another_schema_is_refused(tmp_path: Path, number: int, advice: str) -> None:
    SQLiteStore(tmp_path / "m.db", write=True).close()
    connection = sqlite3.connect(tmp_path / "m.db")
    connection.execute("DELETE FROM schema_migrations")
    connection.execute("INSERT INTO schema_migrations (number, name) VALUES (?, 'x')", (number,))
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match=advice):
        SQLiteStore(tmp_path / "m.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.db").write_bytes(b"bse_code,date\n" * 1000)
    with pytest.raises(StoreError, match="no SQLite database"):
        SQLiteStore(tmp_path / "m.db", write=True)
    assert (tmp_path / "m.db").read_bytes() == b"bse_code,date\n" * 1000


def test_no_database_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="tezi demo"):
        open_store(load_settings(data_dir=tmp_path))
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        SQLiteStore(blocked / "folder" / "m.db", write=True)


def test_a_busy_database_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preprocess.store.sqlite.BUSY_TIMEOUT_S", 0.05)
    one = SQLiteStore(tmp_path / "m.db", write=True)
    other = SQLiteStore(tmp_path / "m.db", write=True)
    with one.transaction(), pytest.raises(StoreError, match="busy"), other.transaction():
        pass
    one.close()
    other.close()


_WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from preprocess.store.sqlite import SQLiteStore
from tests.builders import bars
store = SQLiteStore(Path(sys.argv[1]), write=True)
with store.transaction() as writer:
    for number in range(20):
        writer.put_prices(bars(f"5{number:05d}", [1.0 + n for n in range(500)]))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_is_killed_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    first = SQLiteStore(path, write=True)
    with first.transaction() as writer:
        writer.put_prices(bars("500001", [1.0]))
    first.close()
    killed = subprocess.run([sys.executable, "-c", _WRITE_AND_DIE, str(path)], check=False)
    assert killed.returncode == -9
    after = SQLiteStore(path)
    assert (after.bse_codes(), after.sequence()) == (["500001"], 1)
    after.close()
