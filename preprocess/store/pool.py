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
    """How the database answers a query, in its own words, and how long one run took."""

    lines: tuple[str, ...]
    milliseconds: float


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


class Pool(ABC, Generic[C]):
    """At most `size` connections, opened when they are needed and kept for the next caller.

    psycopg2's own pool refuses at once when it is empty, and holds its lock while it connects, so
    that one server that does not answer stops every thread; the standard library has none for
    SQLite. This one waits for a connection to come back and connects outside its lock. Safe to
    share between threads, not between processes.
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
        """Whether an idle connection can be lent; it costs no round trip."""

    @abstractmethod
    def _is_settled(self, connection: C) -> bool:
        """Whether the next caller can have the connection; what was left open is rolled back."""

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

        One that comes back inside a transaction is rolled back; one that comes back broken, or in
        the middle of a statement, is closed and replaced.

        Raises:
            StoreError: all are in use and none came back in time, the pool is closed, or the
                database cannot be reached.
        """
        if not self._free.acquire(timeout=self._wait_s):
            raise StoreError(
                f"All {self.size} connections to the database are in use, and none came back "
                f"within {self._wait_s:g} s: raise the pool's size (TEZI_POSTGRES_POOL_SIZE), or "
                "ask less at once."
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
        """Close what is idle now, and what is in use when it comes back. Twice does nothing."""
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
    with suppress(Exception):  # a connection that is lost already
        connection.close()
