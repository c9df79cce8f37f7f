"""SQLite's laboratory: a copy of the database in a file beside it, gone when it is closed."""

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from preprocess.errors import StoreError
from preprocess.store.indexes import Index, candidates
from preprocess.store.laboratory import LONGEST_RUN_S, Built, Plan, median_ms
from preprocess.store.sql_text import wanted_columns, words
from preprocess.store.workload import NamedQuery

# A database above this is sampled: every so many stocks, with all of their rows.
LARGEST_COPY = 2 * 1024**3
_ROOM = 64 * 1024**2

_SCAN = re.compile(r"^SCAN (\w+)")
_SORT = "USE TEMP B-TREE"
_AUTOMATIC = re.compile(r"^SEARCH (\w+) USING AUTOMATIC")


class SQLiteLaboratory:
    """A copy of the database at `path`, made when it is opened. Used by one thread."""

    def __init__(self, path: Path, *, largest_copy: int = LARGEST_COPY) -> None:
        """Copy the database, or a sample of its stocks if it is larger than `largest_copy` bytes.

        Raises:
            StoreError: there is no room for a copy, or the database cannot be read.
        """
        self._copy = path.with_name(f".{path.name}.laboratory.{os.getpid()}")
        _remove(self._copy)
        try:
            self._every = _copied(path, self._copy, largest_copy)
            self._connection = sqlite3.connect(
                self._copy, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = MEMORY")
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.execute("PRAGMA mmap_size = 1073741824")
            self._connection.execute("PRAGMA cache_size = -65536")
            self._connection.execute("ANALYZE")
        except BaseException as error:
            _remove(self._copy)
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"The copy {self._copy} could not be made: {error}.") from error
            raise

    @property
    def what(self) -> str:
        """What the measurements were made on."""
        share = f"one stock in {self._every} of" if self._every > 1 else "all of"
        return f"a copy of {share} the database, after ANALYZE"

    def plan(self, query: NamedQuery) -> Plan:
        """EXPLAIN QUERY PLAN, with the tables that are scanned or whose rows are sorted."""
        try:
            rows = self._connection.execute(
                f"EXPLAIN QUERY PLAN {query.sql}", query.parameters
            ).fetchall()
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise StoreError(f"The query {query.name} is refused: {error}.") from error
        lines = tuple(str(row[3]) for row in rows)
        names = [
            match.group(1)
            for line in lines
            if (match := _SCAN.match(line) or _AUTOMATIC.match(line))
        ]
        tables = self._tables_of(names, query.sql)
        if any(_SORT in line for line in lines):
            tables = self._mentioned(query.sql)
        return Plan(lines, tuple(tables))

    def measure(self, query: NamedQuery) -> float | None:
        """Median milliseconds; None if a run takes longer than LONGEST_RUN_S."""

        def run() -> float | None:
            began = time.perf_counter()
            end = time.monotonic() + LONGEST_RUN_S
            self._connection.set_progress_handler(lambda: time.monotonic() > end, 100_000)
            try:
                rows = self._connection.execute(query.sql, query.parameters)
                while rows.fetchmany(1_000):
                    pass
            except sqlite3.OperationalError as error:
                if "interrupted" in str(error):
                    return None
                raise StoreError(f"The query {query.name} is refused: {error}.") from error
            finally:
                self._connection.set_progress_handler(None, 0)
            return (time.perf_counter() - began) * 1000.0

        return median_ms(run)

    def candidates(self, query: NamedQuery, plan: Plan) -> Sequence[Index]:
        """Indexes of the tables that the plan scans or sorts."""
        wanted = wanted_columns(query.sql)
        return [
            index
            for table in plan.slow_tables
            for index in candidates(table, self._columns(table), self._present(table), wanted)
        ]

    @contextmanager
    def built(self, index: Index) -> Iterator[Built]:
        """The index on the copy, with its statistics."""
        began = time.perf_counter()
        self._connection.execute(index.sql)
        spent = (time.perf_counter() - began) * 1000.0
        try:
            self._connection.execute(f"ANALYZE {index.name}")
            size = self._connection.execute(
                "SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = ?", (index.name,)
            ).fetchone()
            yield Built(int(size[0]), spent)
        finally:
            self._connection.execute(f"DROP INDEX {index.name}")

    def close(self) -> None:
        """Remove the copy."""
        self._connection.close()
        _remove(self._copy)

    def _all_tables(self) -> list[str]:
        rows = self._connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        return [name for (name,) in rows]

    def _mentioned(self, sql: str) -> list[str]:
        said = words(sql)
        return [name for name in self._all_tables() if name in said]

    def _tables_of(self, names: list[str], sql: str) -> list[str]:
        """The plan names a table by its alias: then every table that the query names is meant."""
        tables = self._mentioned(sql)
        known = [name for name in names if name in tables]
        return known if len(known) == len(names) else tables

    def _columns(self, table: str) -> list[str]:
        rows = self._connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        return [name for (name,) in rows]

    def _present(self, table: str) -> list[list[str]]:
        """Column lists of the keys and indexes; a rowid's key is in no list of indexes."""
        execute = self._connection.execute
        key = execute("SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk", (table,))
        lists = [[name for (name,) in key]]
        for (index,) in execute("SELECT name FROM pragma_index_list(?)", (table,)).fetchall():
            columns = execute("SELECT name FROM pragma_index_info(?)", (index,))
            lists.append([name for (name,) in columns])
        return lists


def _copied(path: Path, copy: Path, largest_copy: int) -> int:
    """Copy a database; one stock in how many went along."""
    size = path.stat().st_size
    free = shutil.disk_usage(path.parent).free
    most = min(largest_copy, free // 2 - _ROOM)
    every = 1 if size <= most else -(-size // max(most, 1))
    if most <= 0:
        raise StoreError(
            f"There is no room for a copy of the database in {path.parent} ({free // 1024**2} MB "
            "are free): make room and try again."
        )
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    ) as source:
        if every == 1:
            source.execute("VACUUM INTO ?", (str(copy),))
        else:
            _sample(source, copy, every)
    return every


def _sample(source: sqlite3.Connection, copy: Path, every: int) -> None:
    """Copy the schema, and the rows of one stock in `every`, as of one commit."""
    source.execute("ATTACH ? AS copy", (str(copy),))
    source.execute("PRAGMA copy.synchronous = OFF")
    source.execute("BEGIN")
    source.execute(
        "CREATE TEMP TABLE chosen AS SELECT bse_code FROM ("
        " SELECT bse_code, row_number() OVER (ORDER BY bse_code) place FROM main.stocks)"
        " WHERE place % ? = 0",
        (every,),
    )
    schema = source.execute(
        "SELECT type, name, sql FROM main.sqlite_master"
        " WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type = 'table' DESC"
    ).fetchall()
    for kind, name, sql in schema:
        created = re.sub(r"^CREATE (UNIQUE )?(\w+) ", r"CREATE \1\2 copy.", sql, count=1)
        source.execute(created)
        if kind == "table":
            _fill(source, name)
    source.execute("COMMIT")
    source.execute("DROP TABLE temp.chosen")
    source.execute("DETACH copy")


def _fill(source: sqlite3.Connection, table: str) -> None:
    rows = source.execute("SELECT name FROM pragma_table_info(?, 'main')", (table,))
    columns = [column for (column,) in rows]
    chosen = " WHERE bse_code IN (SELECT bse_code FROM chosen)" if "bse_code" in columns else ""
    source.execute(
        f"INSERT INTO copy.{table} SELECT {', '.join(columns)} FROM main.{table}{chosen}"  # noqa: S608 - names out of the schema
    )


def _remove(copy: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
