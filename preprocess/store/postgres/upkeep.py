"""Maintenance of a PostgreSQL database while readers and writers use it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg2 import errors

from preprocess.database_url import PostgresURL
from preprocess.errors import StoreError
from preprocess.store.postgres.connection import connect
from preprocess.store.postgres.errors import explained
from preprocess.store.postgres.migrations import WRITERS_LOCK, check_schema
from preprocess.store.upkeep import Upkeep

# Separate from the writers' lock, for which maintenance queues like every writer.
MAINTENANCE_LOCK = WRITERS_LOCK + 1
LONGEST_TASK_S = 7_200.0
CLUSTER_WAIT_S = 5.0

# What a failed REINDEX CONCURRENTLY leaves: an index that is written to and never read.
_BROKEN = (
    "SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
    " WHERE NOT i.indisvalid AND x.relnamespace = current_schema()::regnamespace"
    " AND x.relname ~ '_ccnew[0-9]*$'"
)


class PostgresUpkeep(Upkeep):
    """Maintenance of the database at `url`."""

    def __init__(self, url: PostgresURL) -> None:
        """Connect.

        Raises:
            StoreError: the server cannot be reached, or the database has another schema.
        """
        self._url = url
        with explained(url):
            self._connection = connect(url, statement_timeout_s=LONGEST_TASK_S)
            try:
                check_schema(self._connection)
            except BaseException:
                self._connection.close()
                raise

    @contextmanager
    def _writing(self) -> Iterator[Callable[[str], int]]:
        with explained(self._url), self._connection.transaction():
            self._connection.run("SELECT pg_advisory_xact_lock(?)", (WRITERS_LOCK,))
            yield self._connection.run

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold an advisory lock of the session, which the server frees if this process dies."""
        with explained(self._url):
            ((taken,),) = self._connection.query_once(
                "SELECT pg_try_advisory_lock(?)", (MAINTENANCE_LOCK,)
            )
        if not taken:
            raise StoreError(
                f"Another maintenance of {self._url} is running: wait until it is done."
            )
        try:
            yield
        finally:
            if not self._connection.closed:
                with explained(self._url):
                    self._connection.query_once("SELECT pg_advisory_unlock(?)", (MAINTENANCE_LOCK,))

    def size_bytes(self) -> int:
        with explained(self._url):
            ((size,),) = self._connection.query_once("SELECT pg_database_size(current_database())")
        return int(size)

    def refresh_samples(self) -> int:
        """Refresh the view CONCURRENTLY: a plain REFRESH would stop its readers."""
        with explained(self._url):
            self._connection.run("REFRESH MATERIALIZED VIEW CONCURRENTLY announcement_samples")
            ((rows,),) = self._connection.query_once("SELECT count(*) FROM announcement_samples")
        return int(rows)

    def reindex(self) -> None:
        """Rebuild every index while readers and writers go on."""
        with explained(self._url):
            for (name,) in self._connection.query_once(_BROKEN):
                self._connection.run(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            ((schema,),) = self._connection.query_once("SELECT quote_ident(current_schema())")
            self._connection.run(f"REINDEX SCHEMA CONCURRENTLY {schema}")

    def analyze(self) -> None:
        with explained(self._url):
            self._connection.run("ANALYZE")

    def vacuum(self) -> str:
        """Cluster the bars by their key again, and free the space of deleted rows.

        CLUSTER locks out readers of bar rows for seconds; predictions are computed from packs and
        go on. VACUUM FULL would stop those too, so it is not used: the files of other tables shrink
        only at their end.
        """
        note = "the space of old rows is free for new ones"
        with explained(self._url):
            connection = self._connection
            connection.run(f"SET lock_timeout = '{CLUSTER_WAIT_S:g}s'")
            try:
                connection.run("CLUSTER price_movements")
            except errors.LockNotAvailable:
                note += "; bars were in use and are not clustered: run the task again"
            finally:
                if not connection.closed:
                    connection.run("SET lock_timeout = 0")
            connection.run("VACUUM")
        return note

    def close(self) -> None:
        self._connection.close()
