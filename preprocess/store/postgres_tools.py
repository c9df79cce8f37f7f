"""The tools of a PostgreSQL database."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

import psycopg2

from preprocess.database_url import PostgresURL
from preprocess.errors import StoreError
from preprocess.samples import Samples
from preprocess.store.base import Store, Writer
from preprocess.store.indexes import Index
from preprocess.store.pool import Connection as AnyConnection
from preprocess.store.postgres import PostgresStore
from preprocess.store.postgres_connection import Connection, connect
from preprocess.store.postgres_errors import explained
from preprocess.store.postgres_indexes import create_indexes
from preprocess.store.postgres_laboratory import PostgresLaboratory
from preprocess.store.postgres_migrations import check_schema
from preprocess.store.postgres_pool import ConnectionPool
from preprocess.store.postgres_samples import held_mark, read_samples
from preprocess.store.postgres_session import PostgresReader
from preprocess.store.postgres_upkeep import PostgresUpkeep
from preprocess.store.sql_text import with_percent_marks
from preprocess.store.statements import Observer, Parameters
from preprocess.store.tools import POOL_SIZE, POOL_WAIT_S, Rows, Version

BUILD_LIMIT_S = 900.0


class PostgresTools:
    """See `DatabaseTools`."""

    def __init__(self, url: PostgresURL, statement_timeout_s: float) -> None:
        self._url = url
        self._timeout_s = statement_timeout_s

    @contextmanager
    def observed(self, observer: Observer) -> Iterator[Store]:
        """The store, for reading, with an observer of its statements."""
        store = PostgresStore(
            self._url, pool_size=1, statement_timeout_s=self._timeout_s, observer=observer
        )
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def laboratory(self) -> Iterator[PostgresLaboratory]:
        """Temporary tables of a session of its own."""
        with explained(self._url), closing(connect(self._url)) as connection:
            check_schema(connection)
            yield PostgresLaboratory(connection)

    @contextmanager
    def upkeep(self, derive: Callable[[Writer], None]) -> Iterator[PostgresUpkeep]:
        """The chores."""
        with closing(PostgresUpkeep(self._url, derive=derive)) as upkeep:
            yield upkeep

    def pool(self, size: int = POOL_SIZE, wait_s: float = POOL_WAIT_S) -> "PostgresPool":
        """A pool of read-only connections."""
        return PostgresPool(self._url, size, wait_s, self._timeout_s)

    def create_indexes(self, indexes: Sequence[Index]) -> list[Index]:
        """Make those that are not there, all or none."""
        limit = BUILD_LIMIT_S
        with explained(self._url), closing(connect(self._url, statement_timeout_s=limit)) as made:
            return create_indexes(made, indexes)

    def version(self, connection: AnyConnection) -> Version:
        """What a query on this connection would see now."""
        with explained(self._url):
            return Version(PostgresReader(connection).mark(), held_mark(connection))

    def rows(self, connection: AnyConnection, sql: str, parameters: Parameters) -> Rows:
        """Run a query that writes nothing: a question mark or `:name` for each parameter."""
        given = dict(parameters) if isinstance(parameters, Mapping) else tuple(parameters)
        try:
            with connection.cursor() as cursor:
                cursor.execute(with_percent_marks(sql) if given else sql, given or None)
                rows = tuple(map(tuple, cursor.fetchall()))
                return Rows(tuple(column.name for column in cursor.description or ()), rows)
        except psycopg2.OperationalError:
            raise  # the server, and not the query: the pool explains it
        except (psycopg2.Error, KeyError, IndexError, TypeError) as error:
            text = str(error).strip().splitlines() or [type(error).__name__]
            raise StoreError(f"The query is refused: {text[0]}. ({sql.strip()[:200]})") from error

    def samples(self, bse_codes: Sequence[str] | None = None) -> Samples:
        """The announcement samples as they were refreshed last."""
        with explained(self._url), closing(connect(self._url)) as connection:
            return read_samples(connection, bse_codes)


class PostgresPool:
    """`ConnectionPool` with its errors explained; see `Pool`."""

    def __init__(
        self, url: PostgresURL, size: int, wait_s: float, statement_timeout_s: float
    ) -> None:
        """Lend at most `size` connections at once; a caller waits at most `wait_s` for one."""
        if size < 1:
            raise StoreError(f"A pool needs at least one connection, not {size}.")
        self._url = url
        self._limit_s = statement_timeout_s
        self._pool = ConnectionPool(
            lambda: connect(url, read_only=True, statement_timeout_s=statement_timeout_s),
            size=size,
            wait_s=wait_s,
        )

    @property
    def size(self) -> int:
        """Most connections that there are at once."""
        return self._pool.size

    @property
    def idle(self) -> int:
        """Connections that are open and not in use."""
        return self._pool.idle

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """One read-only connection for the time of the block."""
        with explained(self._url), self._pool.connection() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection; one that is lent is closed when it comes back."""
        self._pool.close()
