"""The store for production: PostgreSQL, shared by many processes and machines."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from preprocess.database_url import PostgresURL
from preprocess.errors import StoreError
from preprocess.market.columns import MarketColumns
from preprocess.market.values import StockHistory
from preprocess.store.base import Store
from preprocess.store.pool import POOL_SIZE, POOL_WAIT_S
from preprocess.store.postgres.connection import SNAPSHOT, Connection, connect
from preprocess.store.postgres.migrations import WRITERS_LOCK, check_schema, migrate
from preprocess.store.postgres.packs import FEW, read_all, read_few
from preprocess.store.postgres.pool import ConnectionPool
from preprocess.store.postgres.session import (
    PostgresHistories,
    PostgresReader,
    PostgresWriter,
    pack_everything,
)

STATEMENT_TIMEOUT_S = 60.0
# A connection is cut off this long after its statement timeout, which a hung server ignores.
_GRACE_S = 2.0
# No write takes longer than this unless its server hangs.
_WRITING_LIMIT_S = 7_200.0
_HISTORIES_AT_ONCE = 100

# A writer's statements may take long, its waits for locks may not. It compares few staged rows
# with a table of millions: without statistics of the staged rows, the planner would scan the table.
_BEGIN_WRITING = (
    "BEGIN; SET LOCAL statement_timeout = '15min'; SET LOCAL enable_hashjoin = off;"
    f" SET LOCAL enable_mergejoin = off; SELECT pg_advisory_xact_lock({WRITERS_LOCK})"
)


class PostgresStore(PostgresHistories, Store):
    """A market in a PostgreSQL database. Safe to share between threads.

    A lost connection costs one StoreError; the next call opens a new one.
    """

    poll_interval_s = 0.2  # each query is a round trip

    def __init__(
        self,
        url: PostgresURL,
        *,
        write: bool = False,
        pool_size: int = POOL_SIZE,
        pool_wait_s: float = POOL_WAIT_S,
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
    ) -> None:
        """Open the database; with `write`, bring its schema up to date.

        Raises:
            StoreError: the server cannot be reached or refuses, or the database has another schema.
        """
        self.url = url
        self._limit_s = statement_timeout_s + _GRACE_S
        self._closed = threading.Event()
        self.pool = ConnectionPool(
            lambda: connect(url, read_only=not write, statement_timeout_s=statement_timeout_s),
            size=pool_size,
            wait_s=pool_wait_s,
            url=url,
        )
        try:
            with self.pool.connection(limit_s=_WRITING_LIMIT_S) as connection:
                if write:
                    migrate(connection, pack=pack_everything)
                else:
                    check_schema(connection)
        except BaseException:
            self.pool.close()
            raise

    @contextmanager
    def _connected(self, *, limit_s: float, begin: str = "") -> Iterator[Connection]:
        if self._closed.is_set():
            raise StoreError(f"The store {self.url} is closed.")
        with (
            self.pool.connection(limit_s=limit_s) as connection,
            connection.transaction(begin) if begin else nullcontext(),
        ):
            yield connection

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> Iterable[tuple[Any, ...]]:
        with self._connected(limit_s=self._limit_s) as connection:
            return connection.query(sql, parameters)

    @contextmanager
    def transaction(self) -> Iterator[PostgresWriter]:
        with self._connected(limit_s=_WRITING_LIMIT_S, begin=_BEGIN_WRITING) as connection:
            writer = PostgresWriter(connection)
            yield writer
            writer.finish()

    @contextmanager
    def view(self) -> Iterator[PostgresReader]:
        with self._connected(limit_s=_WRITING_LIMIT_S, begin=SNAPSHOT) as connection:
            yield PostgresReader(connection)

    def histories(self, bse_codes: Sequence[str] | None = None) -> Iterator[StockHistory]:
        """Histories one at a time, in the order of `bse_codes`; unknown ones are skipped."""
        codes = self.bse_codes() if bse_codes is None else bse_codes
        for start in range(0, len(codes), _HISTORIES_AT_ONCE):
            yield from self.histories_of(codes[start : start + _HISTORIES_AT_ONCE])

    def columns(self, bse_codes: Sequence[str] | None = None) -> MarketColumns:
        codes = None if bse_codes is None else sorted(set(bse_codes))
        with self._connected(limit_s=self._limit_s) as connection:
            if codes is not None and len(codes) <= FEW:
                return read_few(connection, codes)
            with connection.transaction(SNAPSHOT):
                return read_all(connection, PostgresReader(connection).mark(), codes)

    def close(self) -> None:
        self._closed.set()
        self.pool.close()
