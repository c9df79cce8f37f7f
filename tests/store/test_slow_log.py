"""The slow-query log: what is slow is in it, and it never grows beyond its bound."""

import json
import logging
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from preprocess.settings import load_settings
from preprocess.store import open_store
from preprocess.store.slow_log import SlowQuery, SlowQueryLog, older, slow_queries
from preprocess.store.sqlite import SQLiteStore
from preprocess.store.statements import Statement
from tests.builders import bars

NOON = datetime(2026, 8, 14, 12, tzinfo=UTC)


def log_at(path: Path, *, largest_file: int = 1_000_000) -> SlowQueryLog:
    return SlowQueryLog(path, slower_than_ms=10, largest_file=largest_file, now=lambda: NOON)


def test_only_what_is_slow_is_logged(tmp_path: Path) -> None:
    log = log_at(tmp_path / "deep" / "slow.jsonl")
    log(Statement("SELECT 1", (), 10.0))
    log(Statement("SELECT ?, ?", ("a", date(2026, 8, 14)), 10.5))
    log(Statement("SELECT :a", {"a": 1.5}, 11.0))
    assert list(slow_queries(tmp_path / "deep" / "slow.jsonl")) == [
        SlowQuery("2026-08-14T12:00:00.000+00:00", 10.5, "SELECT ?, ?", ["a", "2026-08-14"]),
        SlowQuery("2026-08-14T12:00:00.000+00:00", 11.0, "SELECT :a", {"a": 1.5}),
    ]


@pytest.mark.parametrize(
    "parameters", [tuple(range(51)), ("x" * 201,), (b"bytes",), {"a": object()}]
)
def test_parameters_that_are_too_many_or_too_long_are_not_kept(
    tmp_path: Path, parameters: tuple[object, ...]
) -> None:
    log_at(tmp_path / "slow.jsonl")(Statement("SELECT " + "?" * 9_000, parameters, 99.0))
    (entry,) = slow_queries(tmp_path / "slow.jsonl")
    assert entry.parameters is None
    assert len(entry.sql) == 4_000


def test_the_file_is_bounded_and_whole_lines_stay(tmp_path: Path) -> None:
    path = tmp_path / "slow.jsonl"

    def write(name: str) -> None:
        log = log_at(path, largest_file=5_000)
        for number in range(200):
            log(Statement(f"SELECT '{name}{number}'", (), 20.0))

    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    log_at(path)(Statement("SELECT 1", (), 20.0))  # the file before may just have become full
    assert path.stat().st_size + older(path).stat().st_size < 2 * 5_200
    lines = (older(path).read_text() + path.read_text()).splitlines()
    assert all(json.loads(line)["milliseconds"] == 20.0 for line in lines)
    assert len(list(slow_queries(path))) == len(lines) > 30
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["slow.jsonl", "slow.jsonl.1"]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "slow.jsonl"
    log_at(path)(Statement("SELECT 1", (), 20.0))
    with path.open("ab") as file:
        file.write(b'{"at": "2026\n{"at": 1}\n[]\n\xff\n')
    log_at(path)(Statement("SELECT 2", (), 20.0))
    assert [entry.sql for entry in slow_queries(path)] == ["SELECT 1", "SELECT 2"]


def test_a_log_that_cannot_be_written_costs_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    log = log_at(tmp_path / "file" / "slow.jsonl")
    for _ in range(3):
        log(Statement("SELECT 1", (), 20.0))
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING


def test_a_store_of_the_settings_logs_its_slow_statements(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, slow_query_ms=0)
    store = open_store(settings, write=True)
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [1.0, 2.0]))
    store.close()
    assert not settings.slow_query_log.exists()  # 0: none is logged
    store = open_store(load_settings(data_dir=tmp_path, slow_query_ms=1))
    store.close()
    heard: list[Statement] = []
    timed = SQLiteStore(settings.database_path, observer=heard.append)
    timed.history("500001")
    timed.close()
    slow = SlowQueryLog(settings.slow_query_log, slower_than_ms=0)
    for statement in heard:
        slow(statement)
    logged = [entry.sql for entry in slow_queries(settings.slow_query_log)]
    assert any("FROM price_movements" in sql for sql in logged)


def test_the_time_of_a_statement_covers_all_of_its_rows(tmp_path: Path) -> None:
    heard: list[Statement] = []
    store = SQLiteStore(tmp_path / "market.db", write=True, observer=heard.append)
    heard.clear()
    with store._connected() as connection:
        slow = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
            " SELECT i FROM n"
        )
        first = connection.execute(slow).fetchone()
        rows = connection.execute(slow).fetchall()
        total = sum(i for (i,) in connection.execute(slow))
        chunks = connection.execute(slow)
        while chunks.fetchmany(5_000):
            pass
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
        connection.execute("SELECT 1")  # its rows are never asked for: nothing to tell
    store.close()
    assert first == (1,)
    assert len(rows) == 200_000
    assert total == 200_000 * 200_001 // 2
    assert [said.sql.split()[0] for said in heard] == ["WITH"] * 4 + ["CREATE", "INSERT"]
    one, every, summed, chunked = (said.milliseconds for said in heard[:4])
    assert one * 5 < min(every, summed, chunked)
