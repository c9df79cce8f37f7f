"""Maintenance tasks: each works alongside readers and a writer, one maintenance at a time."""

import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from gateway.maintenance.run import TASKS, TaskResult, maintain, selected_tasks
from preprocess.database_url import PostgresURL
from preprocess.errors import StoreError
from preprocess.market.values import Bar, Stock
from preprocess.settings import Settings
from preprocess.store import Store, Upkeep, open_upkeep
from preprocess.store.postgres.connection import connect
from preprocess.store.postgres.upkeep import PostgresUpkeep
from preprocess.store.sqlite.store import SQLiteStore
from preprocess.store.sqlite.upkeep import SQLiteUpkeep
from tests.builders import bars, weekdays
from tests.preprocess.store.markets import TestDatabase, assert_same_columns


@pytest.fixture
def settings(database: TestDatabase, tmp_path: Path) -> Settings:
    return database.settings(data_dir=tmp_path / "data")


@pytest.fixture
def upkeep(settings: Settings) -> Iterator[Upkeep]:
    with closing(open_upkeep(settings)) as opened:
        yield opened


@pytest.fixture
def market(store: Store) -> Store:
    """A market of which most has been deleted again."""
    days = weekdays(130)
    for evening in range(2):
        with store.transaction() as writer:
            for number in range(20):
                code = f"{number:06d}"
                price = 1.0 + evening
                writer.put_stocks([Stock(code, company_name="Listed")])
                writer.put_prices([Bar(code, d, price, price, price, price, 1) for d in days])
    with store.transaction() as writer:
        for number in range(18):
            writer.delete_prices(f"{number:06d}", days[0], days[-1])
    return store


def test_all_tasks_leave_the_market_as_it_was(
    market: Store, upkeep: Upkeep, settings: Settings
) -> None:
    before, mark = market.columns(), market.mark()
    seen: list[tuple[int, int]] = []
    done = maintain(upkeep, settings, progress=lambda *step: seen.append(step))
    assert [task.name for task in done] == [task.name for task in TASKS]
    assert [task.detail for task in done if task.failed] == []
    assert seen == [(number, 7) for number in range(8)]
    assert market.mark() == mark
    assert_same_columns(market.columns(), before)
    by_name = {task.name: task for task in done}
    assert by_name["changelog"].detail.split()[0] != "0"
    assert by_name["packs"].detail == "packs of 20 stocks rebuilt, 0 differed"
    if isinstance(market, SQLiteStore):
        assert by_name["vacuum"].bytes_after < by_name["vacuum"].bytes_before / 2
    document = by_name["vacuum"].document()
    assert (document["task"], document["failed"]) == ("vacuum", False)
    again = maintain(upkeep, settings)
    assert again[2].detail == "0 entries merged"


def test_only_one_at_a_time(market: Store, upkeep: Upkeep, settings: Settings) -> None:
    with closing(open_upkeep(settings)) as other:
        with other.alone(), pytest.raises(StoreError, match="Another maintenance"):
            maintain(upkeep, settings)
        assert maintain(upkeep, settings, selected_tasks(["analyze"]))[0].failed is False
        with other.alone():
            pass  # the lock of the one that is done is free


def test_some_tasks_in_their_own_order() -> None:
    assert [task.name for task in selected_tasks(["analyze", "packs"])] == ["packs", "analyze"]
    assert selected_tasks(None) == TASKS
    with pytest.raises(StoreError, match="there are: leftovers, packs"):
        selected_tasks([])


def test_leftovers_that_cannot_be_removed_are_told(
    upkeep: Upkeep, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_found: object) -> int:
        raise PermissionError(13, "denied", "somewhere")

    monkeypatch.setattr("gateway.maintenance.run.remove", refused)
    (task,) = maintain(upkeep, settings, selected_tasks(["leftovers"]))
    assert task.failed
    assert "cannot be removed" in task.detail


def test_a_table_that_is_missing_is_told_and_no_transaction_stays_open(
    database: TestDatabase, market: Store, upkeep: Upkeep, settings: Settings
) -> None:
    database.run("DELETE FROM stock_packs WHERE bse_code = '000001'")
    database.run("DROP TABLE change_log")
    done = maintain(upkeep, settings, selected_tasks(["packs", "changelog", "samples", "analyze"]))
    assert [task.failed for task in done] == [True, True, False, False]
    assert database.run("SELECT count(*) FROM stock_packs") == [(19,)]  # nothing of it was kept


def test_an_index_of_the_product_that_is_missing_is_made(
    database: TestDatabase, upkeep: Upkeep, settings: Settings
) -> None:
    database.run("DROP INDEX daily_predictions_by_day")
    assert not maintain(upkeep, settings, selected_tasks(["reindex"]))[0].failed
    database.run("DROP INDEX daily_predictions_by_day")  # fails if there is none


def test_readers_and_a_writer_go_on_meanwhile(
    database: TestDatabase, market: Store, upkeep: Upkeep, settings: Settings
) -> None:
    stop = threading.Event()
    wrong: list[object] = []
    written = 0

    def read() -> None:
        reader = database.open(write=False)
        while not stop.is_set():
            columns = reader.columns(["000019"])
            if columns.prices.rows != 130 or reader.mark().sequence < columns.mark.sequence:
                wrong.append(columns)

    reading = threading.Thread(target=read)
    reading.start()
    try:
        done: list[TaskResult] = []
        maintenance = threading.Thread(target=lambda: done.extend(maintain(upkeep, settings)))
        maintenance.start()
        while maintenance.is_alive():
            with market.transaction() as writer:
                writer.put_prices(bars("000001", [5.0 + written]))
            written += 1
            stop.wait(0.01)
        maintenance.join()
    finally:
        stop.set()
        reading.join()
    assert wrong == []
    assert written > 0
    assert [task.detail for task in done if task.failed] == []
    history = market.history("000001")
    assert history is not None
    assert history.prices.close.tolist() == [4.0 + written]


@contextmanager
def waiting_little(path: Path) -> Iterator[SQLiteUpkeep]:
    with closing(SQLiteUpkeep(path, wait_s=0.1)) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """An SQLite market with something to give back."""
    path = tmp_path / "market.db"
    with closing(SQLiteStore(path, write=True)) as store:
        with store.transaction() as writer:
            for number in range(40):
                writer.put_prices(bars(f"{number:06d}", [1.0] * 200))
        with store.transaction() as writer:
            for number in range(39):
                days = weekdays(200)
                writer.delete_prices(f"{number:06d}", days[0], days[-1])
        yield path


def test_a_writer_that_does_not_end_is_told(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as writer, waiting_little(file) as up:
        writer.execute("BEGIN IMMEDIATE")
        for task in (up.vacuum, up.analyze, up.reindex, up.compact_change_log, up.refresh_samples):
            with pytest.raises(StoreError, match="busy: another process writes"):
                task()
        writer.execute("ROLLBACK")
        assert up.vacuum() == ""


def test_a_reader_of_old_pages_delays_the_smaller_file(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as reader, waiting_little(file) as up:
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM price_movements").fetchone()
        size = up.size_bytes()
        assert "next checkpoint" in up.vacuum()
        assert reader.execute("SELECT count(*) FROM price_movements").fetchone() == before
        reader.execute("COMMIT")
        assert up.vacuum() == ""
        assert up.size_bytes() == file.stat().st_size < size


def test_a_disk_that_fills_up_is_told_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        path = disk / "market.db"
        with closing(SQLiteStore(path, write=True)) as store, store.transaction() as writer:
            for number in range(20):
                writer.put_prices(bars(f"{number:06d}", [1.0] * 200))
        with closing(SQLiteStore(path)) as store, waiting_little(path) as up:
            before = store.columns()
            with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
                while True:
                    filler.write(b"x" * 4096)
            # As if the room had gone after it was looked for.
            monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1e12}))
            for task in (up.vacuum, up.reindex):
                with pytest.raises(StoreError, match="disk is full"):
                    task()
            (disk / "filler").unlink()
            assert up.vacuum() == ""
            assert_same_columns(store.columns(), before)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "market.db").write_bytes(b"x" * 4096)
    with pytest.raises(StoreError, match="not an SQLite database"):
        SQLiteUpkeep(tmp_path / "market.db")


def test_an_invalid_index_of_a_failed_reindex_is_taken_away(postgres_url: PostgresURL) -> None:
    with closing(connect(postgres_url)) as connection:
        connection.run("CREATE INDEX stocks_isin_ccnew ON stocks (isin)")
        broken = "indexrelid = 'stocks_isin_ccnew'::regclass"
        connection.run(f"UPDATE pg_index SET indisvalid = false WHERE {broken}")
        with closing(PostgresUpkeep(postgres_url)) as upkeep:
            upkeep.reindex()
        found = connection.query_once("SELECT 1 FROM pg_class WHERE relname = 'stocks_isin_ccnew'")
    assert found == []
