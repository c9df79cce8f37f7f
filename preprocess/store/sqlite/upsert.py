"""Insert-or-correct for SQLite that tells what it did: rows added, changed, left as they were."""

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
    """Makes the staging table, which lives as long as the connection."""
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
    """One row for each staged row that is new or differs: code, first day, is it new."""
    on = " AND ".join(f"p.{column} = s.{column}" for column in table.key)
    incoming = ", ".join(table.incoming(column, "s", "p") for column in table.compared)
    present = ", ".join(f"p.{column}" for column in table.compared)
    return (
        f"SELECT s.bse_code, {table.first_day}, p.bse_code IS NULL"  # noqa: S608
        f" FROM temp.staged_{table.name} s LEFT JOIN main.{table.name} p ON {on}"
        f" WHERE p.bse_code IS NULL OR ({incoming}) IS DISTINCT FROM ({present})"
    )


@cache
def _merge(table: Table) -> str:
    """Moves the staged rows into the table."""
    columns, key = ", ".join(table.columns), ", ".join(table.key)
    updates = ", ".join(
        f"{column} = {table.incoming(column, 'excluded', table.name)}" for column in table.values
    )
    incoming = ", ".join(
        table.incoming(column, "excluded", table.name) for column in table.compared
    )
    present = ", ".join(f"{table.name}.{column}" for column in table.compared)
    return (
        f"INSERT INTO main.{table.name} ({columns}) SELECT {columns} "  # noqa: S608
        f"FROM temp.staged_{table.name} WHERE true "
        f"ON CONFLICT ({key}) DO UPDATE SET {updates} "
        f"WHERE ({incoming}) IS DISTINCT FROM ({present})"
    )
