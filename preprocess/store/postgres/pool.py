"""The pool of connections to PostgreSQL: checked before use, and cut off if the server hangs."""

import os
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

import psycopg2
from psycopg2 import extensions

from preprocess.database_url import PostgresURL
from preprocess.store.pool import POOL_SIZE, POOL_WAIT_S, Parameters, Plan, Pool, Rows
from preprocess.store.postgres.connection import Connection, percent_marks
from preprocess.store.postgres.errors import explained

_EXECUTION_TIME = re.compile(r"Execution Time: ([0-9.]+) ms")


class ConnectionPool(Pool[Connection]):
    """See `Pool`."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        size: int = POOL_SIZE,
        wait_s: float = POOL_WAIT_S,
        url: PostgresURL | None = None,
    ) -> None:
        """`connect` opens one connection; with `url` errors are explained, naming the database."""
        super().__init__(size=size, wait_s=wait_s)
        self._open = connect
        self._url = url
        self._watch = _Watch()

    @contextmanager
    def connection(self, *, limit_s: float | None = None) -> Iterator[Connection]:
        """A connection for the length of the block; see `Pool.connection`.

        It is cut off after `limit_s`: a hanging server does not enforce its own statement timeout.
        """
        with super().connection() as connection, self._watch.limited(connection, limit_s):
            yield connection

    def rows(self, sql: str, parameters: Parameters = ()) -> Rows:
        with self.connection() as connection, connection.cursor() as cursor:
            cursor.execute(percent_marks(sql, parameters), parameters or None)
            columns = tuple(column.name for column in cursor.description or ())
            return Rows(columns, tuple(map(tuple, cursor.fetchall())))

    def explain(self, sql: str, parameters: Parameters = ()) -> Plan:
        """EXPLAIN ANALYZE with the buffers read, in a transaction that is rolled back."""
        with self.connection() as connection, connection.transaction("BEGIN READ ONLY"):
            rows = connection.query_once(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", parameters)
        lines = tuple(line for (line,) in rows)
        (spent,) = _EXECUTION_TIME.findall("\n".join(lines))
        return Plan(lines, float(spent))

    def close(self) -> None:
        super().close()
        self._watch.close()

    def _connect(self) -> Connection:
        return self._open()

    def _is_usable(self, connection: Connection) -> bool:
        """Whether the session is alive: a server that ended it has sent something since."""
        if connection.closed:
            return False
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def _is_settled(self, connection: Connection) -> bool:
        connection.roll_back()
        # Not idle: in the middle of a COPY or a statement, so its next result is unknown.
        return (
            not connection.closed
            and connection.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE
        )

    def _explained(self) -> AbstractContextManager[None]:
        return nullcontext() if self._url is None else explained(self._url)


class _Watch:
    """Cuts off connections at their deadline, from a thread that starts with the first of them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._deadlines: dict[Connection, float] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def limited(self, connection: Connection, limit_s: float | None) -> Iterator[None]:
        """Cut `connection` off if the block takes longer than `limit_s`."""
        if limit_s is None:
            yield
            return
        with self._changed:
            self._deadlines[connection] = time.monotonic() + limit_s
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="tezi-postgres-watch", daemon=True
                )
                self._thread.start()
            elif len(self._deadlines) == 1:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._deadlines.pop(connection, None)

    def close(self) -> None:
        """Stop the thread."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None:
            thread.join(timeout=2.0)

    def _run(self) -> None:
        with self._changed:
            while self._thread is threading.current_thread():
                # A resolution of a second is enough: the limits are for servers that hang.
                self._changed.wait(1.0 if self._deadlines else None)
                now = time.monotonic()
                for connection in [c for c, end in self._deadlines.items() if end <= now]:
                    del self._deadlines[connection]
                    _cut_off(connection)


def _cut_off(connection: Connection) -> None:
    """Shut down the socket that a call waits on; the call then raises."""
    with suppress(psycopg2.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as s:
        s.shutdown(socket.SHUT_RDWR)
