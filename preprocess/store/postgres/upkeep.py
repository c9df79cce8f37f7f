"""The upkeep of a PostgreSQL database, beside the readers and the writers that use it."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2 import errors

from preprocess.database_url import PostgresURL
from preprocess.errors import StoreError
from preprocess.store.change_log import DROP_MERGED, LOWER_DATES
from preprocess.store.postgres.connection import Connection, connect
from preprocess.store.postgres.errors import explained
from preprocess.store.postgres.migrations import WRITERS_LOCK, check_schema
from preprocess.store.upkeep import index_statements

# Beside the writers' lock, of which a maintenance takes its turn like anybody else.
MAINTENANCE_LOCK = WRITERS_LOCK + 1
LONGEST_CHORE_S = 7_200.0
CLUSTER_WAIT_S = 5.0

# What a REINDEX CONCURRENTLY that failed leaves: an index that is written to and never read.
_BROKEN = (
    "SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
    " WHERE NOT i.indisvalid AND x.relnamespace = current_schema()::regnamespace"
    " AND x.relname ~ '_ccnew[0-9]*$'"
)


class PostgresUpkeep:
    """The chores of the database at `url`. Used by one thread."""

    def __init__(self, url: PostgresURL) -> None:
        """Connect.

        Raises:
            StoreError: the server cannot be reached, or the database has another schema.
        """
        self._url = url
        with explained(url):
            self._connection = connect(url, statement_timeout_s=LONGEST_CHORE_S)
            try:
                check_schema(self._connection)
            except BaseException:
                self._connection.close()
                raise

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        connection = self._connection
        with explained(self._url):
            connection.run("BEGIN")
            try:
                yield connection
                connection.run("COMMIT")
            except BaseException:
                if not connection.closed and connection.in_transaction:
                    connection.run("ROLLBACK")
                raise

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold an advisory lock of the session; the server lets go of it if this process dies."""
        with explained(self._url):
            ((taken,),) = self._connection.query_once(
                "SELECT pg_try_advisory_lock(?)", (MAINTENANCE_LOCK,)
            )
        if not taken:
            raise StoreError(
                f"Another maintenance of {self._url} is at work: wait until it is done."
            )
        try:
            yield
        finally:
            if not self._connection.closed:
                with explained(self._url):
                    self._connection.query_once("SELECT pg_advisory_unlock(?)", (MAINTENANCE_LOCK,))

    def size_bytes(self) -> int:
        """Bytes of the database."""
        with explained(self._url):
            ((size,),) = self._connection.query_once("SELECT pg_database_size(current_database())")
        return int(size)

    def compact_change_log(self) -> int:
        """Merge the entries of each stock; see `change_log`."""
        with self._transaction() as connection:
            connection.run("SELECT pg_advisory_xact_lock(?)", (WRITERS_LOCK,))
            connection.run(LOWER_DATES)
            return connection.run(DROP_MERGED)

    def refresh_samples(self) -> int:
        """Refresh the view as a whole; its readers go on, which a plain REFRESH would stop."""
        with explained(self._url):
            self._connection.run("REFRESH MATERIALIZED VIEW CONCURRENTLY announcement_samples")
            ((rows,),) = self._connection.query_once("SELECT count(*) FROM announcement_samples")
        return int(rows)

    def create_indexes(self) -> None:
        """Make those of INDEXES that are not there: all or none, and imports wait meanwhile.

        CONCURRENTLY cannot be in a transaction, and one that fails leaves an invalid index.
        """
        with self._transaction() as connection:
            for statement in index_statements():
                connection.run(statement)

    def reindex(self) -> None:
        """Build every index anew, beside readers and writers."""
        with explained(self._url):
            for (name,) in self._connection.query_once(_BROKEN):
                self._connection.run(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            ((schema,),) = self._connection.query_once("SELECT quote_ident(current_schema())")
            self._connection.run(f"REINDEX SCHEMA CONCURRENTLY {schema}")

    def analyze(self) -> None:
        """Count what the planner goes by."""
        with explained(self._url):
            self._connection.run("ANALYZE")

    def vacuum(self) -> str:
        """Put the bars of each stock side by side again, and free the room of deleted rows.

        CLUSTER takes the bars from whoever reads rows, for seconds; answers are computed from
        packs, and go on. Not VACUUM FULL, which would stop them too: the files of other tables
        become smaller only at their end.
        """
        note = "room of old rows is free for new ones"
        with explained(self._url):
            connection = self._connection
            connection.run(f"SET lock_timeout = '{CLUSTER_WAIT_S:g}s'")
            try:
                connection.run("CLUSTER price_movements")
            except errors.LockNotAvailable:
                note += "; bars were in use and are not clustered: run it again"
            finally:
                if not connection.closed:
                    connection.run("SET lock_timeout = 0")
            connection.run("VACUUM")
        return note

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()
