"""What is SQLite's own: its file, and its migrations."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from preprocess.errors import StoreError
from preprocess.settings import load_settings
from preprocess.store import open_store
from preprocess.store.migrations import migrate, migrations
from preprocess.store.sqlite.store import SQLiteStore, explained


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


def test_an_error_that_ended_the_transaction_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite rolls back on its own after some errors; ending the transaction again would fail."""
    with closing(SQLiteStore(tmp_path / "m.db", write=True)) as store:
        with pytest.raises(StoreError, match="constraint failed"), store.view():
            duplicate(store)
        assert store.bse_codes() == []
    broken = replace(
        migrations()[0],
        number=len(migrations()) + 1,
        sql="INSERT OR ROLLBACK INTO schema_migrations (number, name) VALUES (1, 'again');",
    )
    steps = [*migrations(), broken]
    monkeypatch.setattr("preprocess.store.migrations.migrations", lambda: steps)
    with pytest.raises(StoreError, match="constraint failed"):
        SQLiteStore(tmp_path / "m.db", write=True)


def duplicate(store: SQLiteStore) -> None:
    with store._connected() as connection:
        for _ in range(2):
            connection.execute("INSERT OR ROLLBACK INTO stocks (bse_code) VALUES ('500001')")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.db").write_bytes(b"bse_code,date\n" * 1000)
    with pytest.raises(StoreError, match="not an SQLite database"):
        SQLiteStore(tmp_path / "m.db", write=True)
    assert (tmp_path / "m.db").read_bytes() == b"bse_code,date\n" * 1000


@pytest.mark.parametrize(
    ("of_sqlite", "advice"),
    [("unable to open database file", "may be read and written"), ("disk I/O error", "make room")],
)
def test_a_disk_that_is_full_or_read_only_is_told_with_what_to_do(
    of_sqlite: str, advice: str
) -> None:
    """SQLite writes beside the file of a database that it only reads, too."""
    with pytest.raises(StoreError, match=advice), explained(Path("m.db")):
        raise sqlite3.OperationalError(of_sqlite)


def test_no_database_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="tezi demo"):
        open_store(load_settings(data_dir=tmp_path))
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        SQLiteStore(blocked / "folder" / "m.db", write=True)
