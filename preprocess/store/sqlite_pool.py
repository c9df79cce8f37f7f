"""A bounded pool of read-only connections to an SQLite database."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from preprocess.errors import StoreError
from preprocess.store.migrations import check_schema
from preprocess.store.sqlite import BUSY_TIMEOUT_S, explanation

SIZE = 10
WAIT_S = 5.0


class SQLitePool:
    """Connections that are made when they are first needed; see `Pool`."""

    def __init__(self, path: Path, *, size: int = SIZE, wait_s: float = WAIT_S) -> None:
        """Lend at most `size` connections at once; a caller waits at most `wait_s` for one."""
        if size < 1:
            raise StoreError(f"A pool needs at least one connection, not {size}.")
        self._path = path
        self._size = size
        self._wait_s = wait_s
        self._changed = threading.Condition()
        self._idle: list[sqlite3.Connection] = []
        self._in_use = 0
        self._closed = False

    @property
    def size(self) -> int:
        """Most connections that there are at once."""
        return self._size

    @property
    def idle(self) -> int:
        """Connections that are open and not in use."""
        with self._changed:
            return len(self._idle)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """One read-only connection for the time of the block."""
        lent = self._take()
        try:
            with self._explained():
                yield lent
        finally:
            self._give_back(lent)

    def close(self) -> None:
        """Close every connection; one that is lent is closed when it comes back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for connection in idle:
            connection.close()

    def _take(self) -> sqlite3.Connection:
        end = time.monotonic() + self._wait_s
        with self._changed:
            while True:
                if self._closed:
                    raise StoreError(f"The pool of {self._path} is closed.")
                if self._in_use < self._size:
                    self._in_use += 1
                    idle = self._idle.pop() if self._idle else None
                    break
                if not self._changed.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise StoreError(
                        f"All {self._size} connections to {self._path} are in use and none came "
                        f"back within {self._wait_s:g} s: give them back sooner, or ask for a "
                        "larger pool."
                    )
        if idle is not None:
            return idle
        try:
            return self._connect()
        except BaseException:
            self._forget()
            raise

    def _connect(self) -> sqlite3.Connection:
        with self._explained():
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("PRAGMA mmap_size = 1073741824")
                check_schema(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        healthy = False
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            # Closed by its borrower, or able to write: not one to lend again.
            healthy = connection.execute("PRAGMA query_only").fetchone() == (1,)
        with self._changed:
            keep = healthy and not self._closed
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()
        self._forget()

    def _forget(self) -> None:
        with self._changed:
            self._in_use -= 1
            self._changed.notify()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{explanation(str(error))} ({self._path}: {error})") from error
