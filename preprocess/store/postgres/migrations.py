"""The numbered migrations of PostgreSQL, under the lock that writers take."""

from collections.abc import Callable

from preprocess.errors import StoreError
from preprocess.store.migrations import PACKS_MIGRATION, Migration, migrations, require_schema
from preprocess.store.postgres.connection import Connection

DIALECT = "postgresql"

# One writer at a time: 'TEZI' in ASCII. The server keeps such locks apart by database.
WRITERS_LOCK = 0x54455A49


def schema_version(connection: Connection) -> int:
    """Number of the newest migration applied; 0 for an empty database."""
    if connection.query_once("SELECT to_regclass('schema_migrations')") == [(None,)]:
        return 0
    ((number,),) = connection.query_once("SELECT coalesce(max(number), 0) FROM schema_migrations")
    return int(number)


def check_schema(connection: Connection) -> None:
    """Raise unless the database has the schema that this version reads.

    Raises:
        StoreError: the schema is newer, older or absent.
    """
    version = schema_version(connection)
    if version == 0:
        raise StoreError(
            "There is no market in this database. Make one with `tezi demo`, bring in real prices "
            "with `tezi import prices FILE`, or copy one with `tezi copy-db`."
        )
    require_schema(version, migrations(DIALECT)[-1].number)


def migrate(
    connection: Connection, *, pack: Callable[[Connection], None] | None = None
) -> list[Migration]:
    """Bring the database to the newest schema; return the applied migrations.

    `pack` writes all packs anew; the migration that needs it runs it in its own transaction.

    A step that fails leaves the schema at the step before it.

    Raises:
        StoreError: the schema is newer than this version of Tezi.
    """
    applied: list[Migration] = []
    if schema_version(connection) < migrations(DIALECT)[-1].number:
        # Locked outside a transaction: a session that waits inside one still sees its cached
        # catalog, in which the table does not exist.
        connection.run("SELECT pg_advisory_lock(?)", (WRITERS_LOCK,))
        try:
            applied += [step for step in migrations(DIALECT) if _apply(connection, step, pack)]
        finally:
            if not connection.closed:
                connection.run("SELECT pg_advisory_unlock(?)", (WRITERS_LOCK,))
    check_schema(connection)
    return applied


def _apply(
    connection: Connection, step: Migration, pack: Callable[[Connection], None] | None
) -> bool:
    """Apply a step in its own transaction unless it is applied already; whether it was pending."""
    with connection.transaction():
        pending = schema_version(connection) < step.number
        if pending:
            connection.run(_TABLE)
            connection.run(step.sql)
            if pack and step.number == PACKS_MIGRATION:
                pack(connection)
            connection.run(
                "INSERT INTO schema_migrations (number, name) VALUES (?, ?)",
                (step.number, step.name),
            )
    return pending


_TABLE = (
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    " number integer PRIMARY KEY, name text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP)"
)
