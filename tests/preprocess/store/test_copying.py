"""A market copied from one database into another, in every direction, whole or not at all."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from gateway.cli import main
from preprocess.database_url import DatabaseURL, PostgresURL, SQLiteURL
from preprocess.errors import StoreError
from preprocess.features.batch import batch_rows
from preprocess.market.values import DailyPrediction, Stock
from preprocess.settings import Settings, load_settings
from preprocess.store import Store, copying, open_database
from preprocess.store.copying import copy_market
from preprocess.store.reading import Reader
from preprocess.store.tables import ACTIONS, Table
from preprocess.store.writing import Writer
from tests.builders import bars, result
from tests.postgres import PostgresServer, written_out
from tests.preprocess.store.markets import assert_same_columns, fill

CODES = [f"50{number:04d}" for number in range(50)]
DAY = date(2024, 3, 1)


def opened(url: DatabaseURL, *, write: bool = False) -> closing[Store]:
    return closing(open_database(url, load_settings(), write=write))


@pytest.fixture
def source(tmp_path: Path) -> SQLiteURL:
    """A SQLite market with a row of every table, odd values among them."""
    url = SQLiteURL(tmp_path / "source.db")
    with opened(url, write=True) as store:
        fill(store, CODES)
        with store.transaction() as writer:
            writer.put_stocks([Stock("000001", "A\tB", "Back\\slash & Söhne\n", None, "Steel")])
            writer.put_results([("999999", result(2024, 1, revenue=0.1 + 0.2, pat=float("nan")))])
            said = datetime(2024, 3, 1, 12, 30, 0, 1, tzinfo=UTC)
            writer.put_predictions(
                [DailyPrediction(CODES[0], DAY, 3, 1, 0.7, "HIGH", "fp32", said)]
            )
    return url


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseURL]:
    """An empty database of the kind that a test asks for."""
    if request.param == "sqlite":
        yield SQLiteURL(tmp_path / "target.db")
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        with server.database() as url:
            yield url


both = pytest.mark.parametrize("target", ["sqlite", "postgresql"], indirect=True)


def copy(source: DatabaseURL, target: DatabaseURL, *, replace: bool = False) -> dict[str, int]:
    with opened(source) as read, opened(target, write=True) as write:
        done = copy_market(read, write, replace=replace)
    return {one.table: one.rows for one in done}


def assert_same_everywhere(first: DatabaseURL, second: DatabaseURL) -> None:
    with opened(first) as ours, opened(second) as theirs:
        assert ours.stocks() == theirs.stocks()
        assert ours.span() == theirs.span()
        assert ours.predictions(DAY, 3) == theirs.predictions(DAY, 3)
        found, expected = theirs.columns(), ours.columns()
        assert_same_columns(found, expected, marks=False)
        everyone = np.arange(len(found))
        days = np.full(len(found), found.newest_day(), dtype=np.int32)
        assert (
            batch_rows(found, everyone, days).values.tobytes()
            == batch_rows(expected, everyone, days).values.tobytes()
        )


@both
def test_everything_arrives_and_comes_back(
    source: SQLiteURL, target: DatabaseURL, tmp_path: Path
) -> None:
    rows = copy(source, target)
    assert rows["price_movements"] == 50 * 60
    assert (rows["stocks"], rows["daily_predictions"]) == (51, 1)
    assert_same_everywhere(source, target)
    back = SQLiteURL(tmp_path / "back.db")
    assert copy(target, back) == rows
    assert_same_everywhere(source, back)


@both
def test_a_market_is_replaced_only_when_that_is_said(
    source: SQLiteURL, target: DatabaseURL
) -> None:
    with opened(target, write=True) as store:
        with store.transaction() as writer:
            writer.put_prices(bars("700000", [5.0] * 9))
            writer.put_prices(bars(CODES[0], [5.0] * 90))
        before = store.columns()
        with pytest.raises(StoreError, match="--replace"):
            copy(source, target)
        assert_same_columns(store.columns(), before)
    copy(source, target, replace=True)
    assert_same_everywhere(source, target)
    with opened(target) as store:
        gone = {change.bse_code for change in store.changes_since(before.mark.sequence)}
    assert {"700000", CODES[0], CODES[49]} <= gone, "readers of the target would not notice"


@both
def test_a_target_that_comes_out_different_is_left_as_it_was(
    source: SQLiteURL, target: DatabaseURL, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Reader.rows_between

    def forgetful(self: Reader, table: Table, first: str, last: str) -> list[tuple[Any, ...]]:
        rows = read(self, table, first, last)
        loses = isinstance(self, Writer) and table is ACTIONS
        return rows[:-1] if loses else rows

    monkeypatch.setattr(Reader, "rows_between", forgetful)
    with pytest.raises(StoreError, match="corporate_actions differs after the copy: 50 rows"):
        copy(source, target)
    with opened(target) as store:
        assert not any(store.span().counts.values())


@both
def test_the_source_is_read_as_of_one_commit(
    source: SQLiteURL, target: DatabaseURL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(source, target)
    with opened(target) as store:
        expected = store.columns()
    chunks = copying._chunks

    def overtaken(codes: Sequence[str]) -> Iterator[Sequence[str]]:
        with opened(target, write=True) as other, other.transaction() as writer:
            writer.put_prices(bars(CODES[3], [float(len(codes) or 1)] * 80))
        yield from chunks(codes)

    monkeypatch.setattr(copying, "_chunks", overtaken)
    second = SQLiteURL(tmp_path / "second.db")
    copy(target, second)
    with opened(second) as store, opened(target) as overtaken_by:
        assert_same_columns(store.columns(), expected, marks=False)
        assert overtaken_by.columns().prices.rows > expected.prices.rows


@both
def test_rows_of_a_stock_that_is_not_listed_travel_too(
    source: SQLiteURL, target: DatabaseURL
) -> None:
    with closing(sqlite3.connect(source.path)) as shell:
        for table in ("stocks", "price_packs", "stock_packs"):
            shell.execute(f"DELETE FROM {table} WHERE bse_code = ?", (CODES[1],))
        shell.commit()
    assert copy(source, target)["price_movements"] == 50 * 60
    assert_same_everywhere(source, target)


def test_the_command_says_what_it_did_and_no_password(
    source: SQLiteURL, postgres_url: PostgresURL, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert postgres_url.password
    monkeypatch.setenv("PGPASSWORD", postgres_url.password)
    command = ["copy-db", written_out(source), str(postgres_url)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "3,000" in done.output
    assert f"{postgres_url} holds what {source} holds." in done.output
    assert postgres_url.password not in done.output
    again = CliRunner().invoke(main, command)
    assert (again.exit_code, "--replace" in again.output) == (1, True)
    same = CliRunner().invoke(main, ["copy-db", written_out(source), written_out(source)])
    assert "the same database" in same.output
    wrong = CliRunner().invoke(main, ["copy-db", "mysql://x", written_out(source)])
    assert "must begin with sqlite:///" in wrong.output
    absent = CliRunner().invoke(main, ["copy-db", "sqlite:///absent.db", str(postgres_url)])
    assert "There is no market database" in absent.output


@pytest.mark.parametrize(
    "wrong",
    [
        "postgresql://tezi:secret@127.0.0.1:1/market",  # nobody listens there
        "mysql://tezi:secret@127.0.0.1/market",
    ],
)
def test_errors_of_wrong_urls_show_no_password(source: SQLiteURL, wrong: str) -> None:
    for urls in ((written_out(source), wrong), (wrong, written_out(source))):
        done = CliRunner().invoke(main, ["copy-db", *urls])
        assert done.exit_code == 1
        assert isinstance(done.exception, SystemExit)
        assert "secret" not in done.output
        assert "PostgreSQL" in done.output or "postgresql" in done.output


@pytest.mark.market_data
def test_the_real_market_has_the_same_bits_in_both(
    real_market: Settings, postgres_url: PostgresURL
) -> None:
    source = SQLiteURL(real_market.database_path)
    rows = copy(source, postgres_url)
    assert rows["price_movements"] == 649_551
    assert_same_everywhere(source, postgres_url)
