"""Refreshing from the change log; and the market as it is now, whatever the snapshot is."""

import fcntl
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from preprocess.columns import MarketColumns, Table
from preprocess.errors import SnapshotError, StoreError
from preprocess.snapshot import refresh as refresh_module
from preprocess.snapshot.current import load_market
from preprocess.snapshot.file import read_snapshot, write_snapshot
from preprocess.snapshot.refresh import refresh_snapshot, verify_snapshot
from preprocess.store.sqlite import SQLiteStore
from tests.builders import bars
from tests.snapshot.markets import fill
from tests.store.markets import assert_same_columns

CODES = [f"50{number:04d}" for number in range(20)]


@pytest.fixture
def path(store: SQLiteStore, tmp_path: Path) -> Path:
    """Where the snapshot of twenty stocks lies."""
    fill(store, CODES)
    refresh_snapshot(store, tmp_path / "market.snapshot")
    return tmp_path / "market.snapshot"


def correct(store: SQLiteStore, code: str, close: float) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars(code, [close] * 60))


def test_the_first_refresh_takes_all_and_the_second_nothing(path: Path, store: SQLiteStore) -> None:
    assert_same_columns(read_snapshot(path), store.columns())
    stamp = path.stat().st_mtime_ns
    again = refresh_snapshot(store, path)
    assert (again.changed, again.written) == (0, 0)
    assert path.stat().st_mtime_ns == stamp


def test_only_what_has_changed_is_read(path: Path, store: SQLiteStore) -> None:
    correct(store, CODES[3], 70.0)
    with store.transaction() as writer:
        writer.delete_prices(CODES[5], date(2024, 1, 10), date(2024, 1, 20))
        writer.put_prices(bars("400000", [5.0] * 40))
    asked: list[Sequence[str] | None] = []

    class Counting(SQLiteStore):
        def columns(self, bse_codes: Sequence[str] | None = None) -> MarketColumns:
            asked.append(bse_codes)
            return super().columns(bse_codes)

    counting = Counting(store.path)
    done = refresh_snapshot(counting, path)
    counting.close()
    assert asked == [["400000", CODES[3], CODES[5]]]
    assert (done.changed, done.stocks, done.reason) == (3, 21, "")
    assert_same_columns(read_snapshot(path), store.columns())


def test_a_filled_hole_and_a_late_correction_are_picked_up(path: Path, store: SQLiteStore) -> None:
    with store.transaction() as writer:
        writer.delete_prices(CODES[0], date(2024, 2, 1), date(2024, 2, 1))
    refresh_snapshot(store, path)
    rows = read_snapshot(path).prices.rows
    correct(store, CODES[0], 12.0)
    refresh_snapshot(store, path)
    assert read_snapshot(path).prices.rows == rows + 1
    assert_same_columns(read_snapshot(path), store.columns())


def test_many_changes_are_read_in_one_pass(path: Path, store: SQLiteStore) -> None:
    for code in CODES[:10]:
        correct(store, code, 33.0)
    done = refresh_snapshot(store, path)
    assert "10 stocks have changed" in done.reason
    assert_same_columns(read_snapshot(path), store.columns())


def test_a_damaged_snapshot_is_made_anew(path: Path, store: SQLiteStore) -> None:
    path.write_bytes(path.read_bytes()[:5000])
    assert_same_columns(load_market(store, path).columns, store.columns())
    assert "damaged" in refresh_snapshot(store, path).reason
    assert_same_columns(read_snapshot(path), store.columns())


def test_the_snapshot_of_another_database_is_not_used(path: Path, tmp_path: Path) -> None:
    """Same stocks and the same sequence numbers: only the token tells them apart."""
    other = SQLiteStore(tmp_path / "other.db", write=True)
    fill(other, CODES)
    correct(other, CODES[0], 1.0)
    loaded = load_market(other, path)
    assert "not of this database" in loaded.reason
    assert_same_columns(loaded.columns, other.columns())
    other.close()


def test_a_copy_put_back_and_gone_on_with_is_another_database(
    store: SQLiteStore, tmp_path: Path
) -> None:
    fill(store, CODES)
    shutil.copy(store.path, tmp_path / "copy.db")
    shutil.copy(f"{store.path}-wal", tmp_path / "copy.db-wal")
    correct(store, CODES[0], 10.0)
    refresh_snapshot(store, tmp_path / "market.snapshot")
    copy = SQLiteStore(tmp_path / "copy.db", write=True)
    correct(copy, CODES[0], 20.0)
    assert copy.sequence() == store.sequence()
    loaded = load_market(copy, tmp_path / "market.snapshot")
    assert "not of this database" in loaded.reason
    assert_same_columns(loaded.columns, copy.columns())
    copy.close()


def test_a_commit_between_the_two_reads_is_not_missed(path: Path, store: SQLiteStore) -> None:
    correct(store, CODES[1], 70.0)
    writing = store
    pending = [CODES[2], CODES[3]]

    class Overtaken(SQLiteStore):
        """Other stocks change just before the changed ones are read."""

        def columns(self, bse_codes: Sequence[str] | None = None) -> MarketColumns:
            if pending:
                correct(writing, pending.pop(), 80.0)
            return super().columns(bse_codes)

    reading = Overtaken(store.path)
    assert_same_columns(load_market(reading, path).columns, store.columns())
    reading.close()


def test_a_database_written_without_a_pause_is_read_as_of_one_commit(
    path: Path, store: SQLiteStore
) -> None:
    correct(store, CODES[1], 70.0)
    writing = store

    class Restless(SQLiteStore):
        def columns(self, bse_codes: Sequence[str] | None = None) -> MarketColumns:
            if bse_codes is not None:
                correct(writing, CODES[1], 1.0 + writing.sequence())
            return super().columns(bse_codes)

    reading = Restless(store.path)
    loaded = load_market(reading, path)
    reading.close()
    assert "without a pause" in loaded.reason
    assert_same_columns(loaded.columns, store.columns())


def test_a_locked_out_refresh_says_so(
    path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh_module, "_LOCK_TIMEOUT_S", 0.2)
    with path.with_name("market.snapshot.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SnapshotError, match="Another refresh"):
            refresh_snapshot(store, path)
    refresh_snapshot(store, path)


def test_one_refresh_at_a_time(
    path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh_module, "_LOCK_TIMEOUT_S", 0.2)
    reads, may_go_on = threading.Event(), threading.Event()

    class Slow(SQLiteStore):
        def columns(self, bse_codes: Sequence[str] | None = None) -> MarketColumns:
            reads.set()
            assert may_go_on.wait(10.0)
            return super().columns(bse_codes)

    def refresh() -> int:
        with closing(Slow(store.path)) as slow:
            return refresh_snapshot(slow, path, full=True).written

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(refresh)
        assert reads.wait(10.0)
        with pytest.raises(SnapshotError, match="Another refresh"):
            refresh_snapshot(store, path)
        may_go_on.set()
        assert first.result() > 0


def test_verification_names_what_is_wrong(path: Path, store: SQLiteStore) -> None:
    assert verify_snapshot(store, path) is None
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    path.write_bytes(flipped)
    assert "not what was written" in str(verify_snapshot(store, path))
    path.write_bytes(whole)
    correct(store, CODES[0], 90.0)
    assert "is at change" in str(verify_snapshot(store, path))
    path.unlink()
    assert "no snapshot" in str(verify_snapshot(store, path))


def test_a_whole_snapshot_of_other_numbers_is_named(path: Path, store: SQLiteStore) -> None:
    columns = store.columns()
    prices = columns.prices
    others = Table(prices.starts, {**prices.columns, "close": prices["close"] + 0.05})
    write_snapshot(path, replace(columns, tables={**columns.tables, "prices": others}))
    assert "differs from the database" in str(verify_snapshot(store, path))
    assert refresh_snapshot(store, path, full=True).written > 0
    assert verify_snapshot(store, path) is None


def test_a_store_that_does_not_answer_leaves_the_snapshot(path: Path, store: SQLiteStore) -> None:
    before = path.read_bytes()
    closed = SQLiteStore(store.path)
    closed.close()
    with pytest.raises(StoreError, match="closed"):
        refresh_snapshot(closed, path)
    assert path.read_bytes() == before


REFRESH_FOR_EVER = """
import sys
from pathlib import Path
from preprocess.snapshot.refresh import refresh_snapshot
from preprocess.store.sqlite import SQLiteStore
store, path = SQLiteStore(Path(sys.argv[1])), Path(sys.argv[2])
while True:
    refresh_snapshot(store, path, full=True)
    print("done", flush=True)
"""


def test_kill_9_leaves_a_good_snapshot(path: Path, store: SQLiteStore) -> None:
    """Killed at twelve moments of a refresh that never ends; each time the file is whole."""
    fill(store, [f"6{number:05d}" for number in range(40)])
    expected = store.columns()
    for attempt in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", REFRESH_FOR_EVER, str(store.path), str(path)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        with process.stdout as lines:
            assert lines.readline() == b"done\n"
            time.sleep(0.0007 * attempt)
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=10)
        assert_same_columns(read_snapshot(path), expected)
    refresh_snapshot(store, path, full=True)
    assert not list(path.parent.glob("*.staged"))


def test_a_stock_that_loses_every_bar_has_none(path: Path, store: SQLiteStore) -> None:
    with store.transaction() as writer:
        assert writer.delete_prices(CODES[4], date.min, date.max) == 60
    refresh_snapshot(store, path)
    alone = read_snapshot(path).only(store.columns([CODES[4]]).codes)
    assert (len(alone), alone.prices.rows, alone.results.rows) == (1, 0, 1)
