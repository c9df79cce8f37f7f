"""A pool of connections to PostgreSQL: bounded, waited for with an end, checked on their way.

psycopg2's own pool refuses at once when it is empty, and holds its lock while it connects, so that
one server that does not answer stops every thread. This one waits for a connection to come back,
connects outside its lock, and cuts off a connection whose server has gone quiet.
"""

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg2
from psycopg2 import extensions

from preprocess.errors import StoreError
from preprocess.store.postgres_connection import Connection

POOL_SIZE = 10
POOL_WAIT_S = 5.0


class ConnectionPool:
    """At most `size` connections, opened when they are needed and kept for the next caller."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        size: int = POOL_SIZE,
        wait_s: float = POOL_WAIT_S,
    ) -> None:
        """`connect` opens one connection; a caller waits `wait_s` for one that is in use."""
        self.size = size
        self._connect = connect
        self._wait_s = wait_s
        self._free = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False
        self._watch = _Watch()

    @property
    def idle(self) -> int:
        """Connections that are open and not in use."""
        with self._lock:
            return len(self._idle)

    @contextmanager
    def connection(self, *, limit_s: float | None = None) -> Iterator[Connection]:
        """A connection for the length of the block, in autocommit mode.

        It is cut off when the block has taken `limit_s`: a statement time-out ends with the
        server that was to keep it. A connection that comes back broken, or in the middle of
        something, is thrown away; one in a transaction is rolled back first.

        Raises:
            StoreError: all are in use and none came back in time, or the pool is closed.
            psycopg2.Error: a new connection cannot be made.
        """
        if not self._free.acquire(timeout=self._wait_s):
            raise StoreError(
                f"All {self.size} connections to PostgreSQL are in use, and none came back within "
                f"{self._wait_s:g} s: raise TEZI_POSTGRES_POOL_SIZE, or ask less at once."
            )
        try:
            connection = self._take()
            try:
                with self._watch.limited(connection, limit_s):
                    yield connection
            finally:
                self._give_back(connection)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close what is idle now, and what is in use when it comes back. Twice does nothing."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            _close(connection)
        self._watch.close()

    def _take(self) -> Connection:
        while True:
            with self._lock:
                if self._closed:
                    raise StoreError("The pool of connections to PostgreSQL is closed.")
                if not self._idle:
                    break
                connection = self._idle.pop()
            if _is_quiet(connection):
                return connection
            _close(connection)
        return self._connect()

    def _give_back(self, connection: Connection) -> None:
        if not _is_settled(connection):
            _close(connection)
            return
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        _close(connection)


class _Watch:
    """Cuts off connections whose time is up, from a thread that lives while there are any."""

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
        """Let the thread end as soon as nothing is under way."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None:
            thread.join(timeout=2.0)

    def _run(self) -> None:
        with self._changed:
            while self._thread is threading.current_thread():
                # A second is fine enough: limits are for servers that have gone quiet.
                self._changed.wait(1.0 if self._deadlines else None)
                now = time.monotonic()
                for connection in [c for c, end in self._deadlines.items() if end <= now]:
                    del self._deadlines[connection]
                    _cut_off(connection)


def _cut_off(connection: Connection) -> None:
    """End the socket under a call that waits on it; the call then raises."""
    with suppress(psycopg2.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as s:
        s.shutdown(socket.SHUT_RDWR)


def _is_quiet(connection: Connection) -> bool:
    """Whether the server has said nothing since: a session that it ended is told at once."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poll.poll(0)


def _is_settled(connection: Connection) -> bool:
    """Whether the next caller can have the connection; what was left open is rolled back."""
    if connection.closed:
        return False
    status = connection.info.transaction_status
    if status == extensions.TRANSACTION_STATUS_IDLE:
        return True
    if not connection.in_transaction:
        return False  # a COPY or a statement under way: nobody knows what would come next
    try:
        connection.run("ROLLBACK")
    except psycopg2.Error:
        return False
    return connection.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE


def _close(connection: Connection) -> None:
    with suppress(psycopg2.Error):
        connection.close()
