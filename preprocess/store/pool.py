"""A bounded pool of connections for reading, whichever the database."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from preprocess.errors import StoreError

POOL_SIZE = 10
POOL_WAIT_S = 5.0

Parameters = Sequence[object]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a query."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The database's plan of a query, and the time of one run."""

    lines: tuple[str, ...]
    milliseconds: float


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


class Pool(ABC, Generic[C]):
    """At most `size` connections, opened on demand and reused.

    psycopg2's own pool raises at once when it is empty, and connects while it holds its lock, so
    that one unresponsive server blocks every thread; the standard library has no pool for SQLite.
    This one waits until a connection is returned, and connects outside its lock. It can be shared
    between threads, not between processes.
    """

    def __init__(self, *, size: int = POOL_SIZE, wait_s: float = POOL_WAIT_S) -> None:
        """A caller waits `wait_s` for a connection that is in use."""
        if size < 1:
            raise StoreError(f"A pool needs at least one connection, not {size}.")
        self.size = size
        self._wait_s = wait_s
        self._free = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[C] = []
        self._closed = False

    @abstractmethod
    def _connect(self) -> C:
        """A new connection."""

    @abstractmethod
    def _is_usable(self, connection: C) -> bool:
        """Whether an idle connection is still usable; checked without a round trip."""

    @abstractmethod
    def _is_settled(self, connection: C) -> bool:
        """Whether the connection can be reused, after rolling back what was left open."""

    @abstractmethod
    def _explained(self) -> AbstractContextManager[None]:
        """Turns the driver's errors inside the block into a StoreError."""

    @abstractmethod
    def rows(self, sql: str, parameters: Parameters = ()) -> Rows:
        """Run a query that writes nothing, with a question mark for each parameter.

        Raises:
            StoreError: the query is refused.
        """

    @abstractmethod
    def explain(self, sql: str, parameters: Parameters = ()) -> Plan:
        """The plan of a query that writes nothing, and the time of one run.

        Raises:
            StoreError: the query is refused.
        """

    @property
    def idle(self) -> int:
        """Connections that are open and not in use."""
        with self._lock:
            return len(self._idle)

    @contextmanager
    def connection(self) -> Iterator[C]:
        """A connection for the length of the block, in autocommit mode.

        If it is returned inside a transaction, that is rolled back; if it is returned broken or in
        the middle of a statement, it is closed and replaced.

        Raises:
            StoreError: all stay in use for `wait_s`, the pool is closed, or the
                database cannot be reached.
        """
        if not self._free.acquire(timeout=self._wait_s):
            raise StoreError(
                f"All {self.size} connections to the database are in use, and none was returned "
                f"within {self._wait_s:g} s: raise the pool's size (TEZI_POSTGRES_POOL_SIZE), or "
                "send fewer queries at once."
            )
        try:
            with self._explained():
                connection = self._take()
                try:
                    yield connection
                finally:
                    self._give_back(connection)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close idle connections now, and those in use when they are returned. Idempotent."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            _close(connection)

    def _take(self) -> C:
        while True:
            with self._lock:
                if self._closed:
                    raise StoreError("The pool of connections to the database is closed.")
                if not self._idle:
                    break
                connection = self._idle.pop()
            if self._is_usable(connection):
                return connection
            _close(connection)
        return self._connect()

    def _give_back(self, connection: C) -> None:
        settled = self._is_settled(connection)
        with self._lock:
            keep = settled and not self._closed
            if keep:
                self._idle.append(connection)
        if not keep:
            _close(connection)


def _close(connection: _Closable) -> None:
    with suppress(Exception):  # it may be lost already
        connection.close()
