"""Upsert for SQLite that reports its changes: rows added, changed, unchanged."""

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache

from preprocess.market.values import Tally
from preprocess.store.tables import Table


def upsert(
    connection: sqlite3.Connection, table: Table, rows: Sequence[tuple[object, ...]]
) -> tuple[Tally, Iterable[tuple[str, str]]]:
    """Write `rows` (columns in the table's order); also return (code, first day) of each change."""
    if not rows:
        return Tally(), ()
    connection.execute(_stage(table))
    connection.execute(f"DELETE FROM temp.staged_{table.name}")  # noqa: S608 - names are constants
    connection.executemany(_fill(table), rows)
    staged = connection.execute(f"SELECT count(*) FROM temp.staged_{table.name}").fetchone()[0]  # noqa: S608
    different = connection.execute(_compare(table)).fetchall()
    if different:
        connection.execute(_merge(table))
    added = sum(new for _, _, new in different)
    tally = Tally(added, len(different) - added, staged - len(different))
    return tally, ((code, day) for code, day, _ in different)


@cache
def _stage(table: Table) -> str:
    """Creates the staging table, which lives as long as the connection."""
    return (
        f"CREATE TEMP TABLE IF NOT EXISTS staged_{table.name} "
        f"({', '.join(table.columns)}, PRIMARY KEY ({', '.join(table.key)})) WITHOUT ROWID"
    )


@cache
def _fill(table: Table) -> str:
    """Puts one row into the staging table."""
    marks = ", ".join("?" * len(table.columns))
    return f"INSERT OR REPLACE INTO temp.staged_{table.name} VALUES ({marks})"  # noqa: S608


@cache
def _compare(table: Table) -> str:
    """Returns a row for each staged row that is new or differs: code, first day, is it new."""
    return (
        f"SELECT s.bse_code, {table.first_day}, p.bse_code IS NULL"
        f" {table.changed_rows(_staged(table))}"
    )


@cache
def _merge(table: Table) -> str:
    """Writes the staged rows that are new or differ."""
    columns = ", ".join(table.columns)
    given = ", ".join(f"s.{column}" for column in table.columns)
    return (
        f"INSERT INTO {table.name} ({columns}) SELECT {given}"
        f" {table.changed_rows(_staged(table))} {table.on_conflict}"
    )


def _staged(table: Table) -> str:
    return f"temp.staged_{table.name} s"
