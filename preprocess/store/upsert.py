"""Insert-or-correct for SQLite that tells what it did: rows added, changed, left as they were."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from preprocess.market import Tally


@dataclass(frozen=True)
class Table:
    """A table by its key and its other columns; `first_day` is SQL over `s`, a staged row."""

    name: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    first_day: str
    keep_known: bool = False  # a NULL that comes in does not erase what is known
    unread: tuple[str, ...] = ()  # values that alone are no reason to write a row

    @property
    def columns(self) -> tuple[str, ...]:
        """Key and values, in the order that rows are given in."""
        return self.key + self.values

    @property
    def compared(self) -> tuple[str, ...]:
        """The values that make a row differ from the one that is there."""
        return tuple(column for column in self.values if column not in self.unread)

    @cached_property
    def _joined(self) -> str:
        on = " AND ".join(f"p.{column} = s.{column}" for column in self.key)
        return f"temp.staged_{self.name} s LEFT JOIN main.{self.name} p ON {on}"

    def incoming(self, column: str, source: str, present: str) -> str:
        """What a column becomes: the value that comes in, or what is known of it."""
        return (
            f"coalesce({source}.{column}, {present}.{column})"
            if self.keep_known
            else f"{source}.{column}"
        )

    @cached_property
    def stage(self) -> str:
        """Makes the staging table, which lives as long as the connection."""
        key = ", ".join(self.key)
        return (
            f"CREATE TEMP TABLE IF NOT EXISTS staged_{self.name} "
            f"({', '.join(self.columns)}, PRIMARY KEY ({key})) WITHOUT ROWID"
        )

    @cached_property
    def fill(self) -> str:
        """Puts one row into the staging table."""
        marks = ", ".join("?" * len(self.columns))
        return f"INSERT OR REPLACE INTO temp.staged_{self.name} VALUES ({marks})"  # noqa: S608 - names are constants

    @cached_property
    def compare(self) -> str:
        """One row for each staged row that is new or differs: code, first day, is it new."""
        incoming = ", ".join(self.incoming(column, "s", "p") for column in self.compared)
        present = ", ".join(f"p.{column}" for column in self.compared)
        return (
            f"SELECT s.bse_code, {self.first_day}, p.bse_code IS NULL FROM {self._joined} "  # noqa: S608
            f"WHERE p.bse_code IS NULL OR ({incoming}) IS DISTINCT FROM ({present})"
        )

    @cached_property
    def merge(self) -> str:
        """Moves the staged rows into the table."""
        columns, key = ", ".join(self.columns), ", ".join(self.key)
        updates = ", ".join(
            f"{column} = {self.incoming(column, 'excluded', self.name)}" for column in self.values
        )
        incoming = ", ".join(
            self.incoming(column, "excluded", self.name) for column in self.compared
        )
        present = ", ".join(f"{self.name}.{column}" for column in self.compared)
        return (
            f"INSERT INTO main.{self.name} ({columns}) SELECT {columns} "  # noqa: S608
            f"FROM temp.staged_{self.name} WHERE true "
            f"ON CONFLICT ({key}) DO UPDATE SET {updates} "
            f"WHERE ({incoming}) IS DISTINCT FROM ({present})"
        )


def upsert(
    connection: sqlite3.Connection, table: Table, rows: Sequence[tuple[object, ...]]
) -> tuple[Tally, Iterable[tuple[str, str]]]:
    """Write `rows` (columns in the table's order); also return (code, first day) of each change."""
    if not rows:
        return Tally(), ()
    connection.execute(table.stage)
    connection.execute(f"DELETE FROM temp.staged_{table.name}")  # noqa: S608
    connection.executemany(table.fill, rows)
    staged = connection.execute(f"SELECT count(*) FROM temp.staged_{table.name}").fetchone()[0]  # noqa: S608
    different = connection.execute(table.compare).fetchall()
    if different:
        connection.execute(table.merge)
    added = sum(new for _, _, new in different)
    tally = Tally(added, len(different) - added, staged - len(different))
    return tally, ((code, day) for code, day, _ in different)
