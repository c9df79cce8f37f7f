"""The seam at which SQLite's statements are timed: SQLite keeps no log of slow ones itself."""

import sqlite3
import time
from collections.abc import Iterable, Iterator
from typing import Any

from preprocess.store.statements import Observer, Statement

_FETCHED = 1_000


class _TimedCursor(sqlite3.Cursor):
    """Adds up the time in SQLite from execute() to the last row, and tells it then.

    Most of a query's work is done while its rows are fetched, and all of it when it sorts first.
    """

    _observer: Observer
    _pending: tuple[str, Any] | None = None
    _spent = 0.0

    def execute(self, sql: str, parameters: Any = (), /) -> "_TimedCursor":
        self._tell()
        began = time.perf_counter()
        super().execute(sql, parameters)
        self._spent = time.perf_counter() - began
        self._pending = (sql, parameters)
        if self.description is None:
            self._tell()
        return self

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> "_TimedCursor":
        self._tell()
        began = time.perf_counter()
        super().executemany(sql, parameters)
        self._spent = time.perf_counter() - began
        self._pending = (sql, ())  # of many parameters, none
        self._tell()
        return self

    def fetchone(self) -> Any:
        began = time.perf_counter()
        row = super().fetchone()
        self._spent += time.perf_counter() - began
        # Whoever takes one row takes no more: what is left of a scan is never run.
        self._tell()
        return row

    def fetchall(self) -> list[Any]:
        began = time.perf_counter()
        rows = super().fetchall()
        self._spent += time.perf_counter() - began
        self._tell()
        return rows

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        began = time.perf_counter()
        rows = super().fetchmany(size)
        self._spent += time.perf_counter() - began
        if size is None or len(rows) < size:
            self._tell()
        return rows

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator: a call a row would cost more than SQLite does
        while rows := self.fetchmany(_FETCHED):
            yield from rows

    def _tell(self) -> None:
        if self._pending is not None:
            sql, parameters = self._pending
            self._pending = None
            self._observer(Statement(sql, parameters, self._spent * 1000.0))


def timed_connection(observer: Observer) -> type[sqlite3.Connection]:
    """A kind of connection that tells `observer` about its statements, for `sqlite3.connect`."""
    cursor_kind = type("TimedCursor", (_TimedCursor,), {"_observer": staticmethod(observer)})

    class TimedConnection(sqlite3.Connection):
        """A connection whose cursors are timed, those that it makes by itself included."""

        def cursor(self, factory: Any = None, /) -> Any:
            return super().cursor(factory or cursor_kind)

        def execute(self, sql: str, parameters: Any = (), /) -> Any:
            return self.cursor().execute(sql, parameters)

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
            return self.cursor().executemany(sql, parameters)

    return TimedConnection
