"""Indexes that were found to help, made in the PostgreSQL database itself."""

from collections.abc import Sequence

from preprocess.errors import StoreError
from preprocess.store.indexes import Index
from preprocess.store.postgres_connection import Connection
from preprocess.store.postgres_migrations import WRITERS_LOCK

_COLUMNS = (
    "SELECT t.relname, array_agg(a.attname::text ORDER BY k.place), i.indisvalid"
    " FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid"
    " CROSS JOIN unnest(i.indkey::int[]) WITH ORDINALITY AS k(number, place)"
    " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number"
    " WHERE x.relname = ? AND x.relnamespace = current_schema()::regnamespace"
    " GROUP BY t.relname, i.indisvalid"
)


def create_indexes(connection: Connection, indexes: Sequence[Index]) -> list[Index]:
    """Make those that are not there, all or none; which they were.

    In one transaction and so without CONCURRENTLY, which cannot be in one: an import waits while
    an index is built, readers go on, and a failure leaves nothing behind. CONCURRENTLY would leave
    an invalid index, which every write pays for and no query uses.

    Raises:
        StoreError: an index of that name is over other columns.
    """
    connection.run("BEGIN")
    try:
        connection.run("SELECT pg_advisory_xact_lock(?)", (WRITERS_LOCK,))
        made = [index for index in dict.fromkeys(indexes) if _make(connection, index)]
        for table in dict.fromkeys(index.table for index in made):
            connection.run(f"ANALYZE {table}")
        connection.run("COMMIT")
    except BaseException:
        if not connection.closed and connection.in_transaction:
            connection.run("ROLLBACK")
        raise
    return made


def _make(connection: Connection, index: Index) -> bool:
    found = connection.query_once(_COLUMNS, (index.name,))
    if not found:
        connection.run(index.sql)
        return True
    table, columns, valid = found[0]
    if table != index.table or tuple(columns) != index.columns or not valid:
        raise StoreError(
            f"There is an index {index.name} already, over other columns or not valid: drop it, "
            "or do without this one."
        )
    return False
