"""The seam at which PostgreSQL's statements are timed, where the client sees them."""

import time
from collections.abc import Sequence
from typing import Any

from psycopg2 import extensions

from preprocess.store.statements import Observer, Statement


class TimedCursor(extensions.cursor):
    """Tells an observer about each statement; psycopg2 fetches all rows while it executes."""

    observer: Observer
    # What a prepared statement was made of: the observer is to see that, and not EXECUTE.
    said: tuple[str, Sequence[object]] | None = None

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 - psycopg2's own name
        began = time.perf_counter()
        super().execute(query, vars)
        sql, parameters = self.said or (str(query), vars or ())
        self._tell(sql, parameters, began)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        began = time.perf_counter()
        super().copy_expert(sql, file, size)
        self._tell(str(sql), (), began)

    def _tell(self, sql: str, parameters: Sequence[object], began: float) -> None:
        self.observer(Statement(sql, parameters, (time.perf_counter() - began) * 1000.0))


def timed_cursor(observer: Observer) -> type[TimedCursor]:
    """A kind of cursor that tells `observer`."""
    return type("ObservedCursor", (TimedCursor,), {"observer": staticmethod(observer)})
