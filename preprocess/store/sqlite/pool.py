"""A bounded pool of read-only connections to an SQLite database."""

import sqlite3
import time
from contextlib import AbstractContextManager
from pathlib import Path

from preprocess.store.migrations import check_schema
from preprocess.store.pool import POOL_SIZE, POOL_WAIT_S, Parameters, Plan, Pool, Rows
from preprocess.store.sqlite.store import BUSY_TIMEOUT_S, connect, explained

MMAP_BYTES = 1 << 30


class SQLitePool(Pool[sqlite3.Connection]):
    """See `Pool`; a file needs no check before a connection to it is lent."""

    def __init__(self, path: Path, *, size: int = POOL_SIZE, wait_s: float = POOL_WAIT_S) -> None:
        super().__init__(size=size, wait_s=wait_s)
        self._path = path

    def rows(self, sql: str, parameters: Parameters = ()) -> Rows:
        with self.connection() as connection:
            cursor = connection.execute(sql, parameters)
            rows = tuple(cursor.fetchall())
        return Rows(tuple(column[0] for column in cursor.description or ()), rows)

    def explain(self, sql: str, parameters: Parameters = ()) -> Plan:
        """EXPLAIN QUERY PLAN, and a run that fetches every row."""
        with self.connection() as connection:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
            began = time.perf_counter()
            connection.execute(sql, parameters).fetchall()
            spent = time.perf_counter() - began
        return Plan(tuple(detail for *_, detail in plan), spent * 1e3)

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self._path, timeout_s=BUSY_TIMEOUT_S)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA mmap_size = {MMAP_BYTES}")
            check_schema(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _is_usable(self, connection: sqlite3.Connection) -> bool:  # noqa: ARG002 - for servers
        return True

    def _is_settled(self, connection: sqlite3.Connection) -> bool:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            # Closed by its borrower, or able to write: not one to lend again.
            return bool(connection.execute("PRAGMA query_only").fetchone() == (1,))
        except sqlite3.Error:
            return False

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._path)
