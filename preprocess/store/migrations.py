"""Numbered SQL migrations, each applied once, in order, in a transaction of its own."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources

from preprocess.errors import StoreError

# Packs of a database that lacks this migration are written anew: what they hold has changed since.
PACKS_MIGRATION = 11

_FILE_NAME = re.compile(r"(?P<number>[0-9]{4})_(?P<name>[a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    sql: str


def migrations(dialect: str = "sqlite") -> list[Migration]:
    """All migrations that this version of Tezi knows for `sqlite` or `postgresql`, ascending."""
    found = []
    for entry in resources.files("preprocess.store").joinpath("migrations", dialect).iterdir():
        match = _FILE_NAME.fullmatch(entry.name)
        if match:
            sql = entry.read_text(encoding="utf-8")
            found.append(Migration(int(match["number"]), match["name"], sql))
    return sorted(found, key=lambda step: step.number)


def schema_version(connection: sqlite3.Connection) -> int:
    """Number of the newest migration applied; 0 for an empty database."""
    exists = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'"
    ).fetchone()
    if not exists:
        return 0
    return int(
        connection.execute("SELECT coalesce(max(number), 0) FROM schema_migrations").fetchone()[0]
    )


def check_schema(connection: sqlite3.Connection) -> None:
    """Raise unless the database has the schema that this version reads.

    Raises:
        StoreError: the schema is newer, older or absent.
    """
    require_schema(schema_version(connection), migrations()[-1].number)


def require_schema(version: int, newest: int) -> None:
    """Raise unless schema `version` is `newest`, the one that this Tezi reads.

    Raises:
        StoreError: the schema is newer, older or absent.
    """
    if version > newest:
        raise StoreError(
            f"The database has schema {version}, this Tezi knows {newest}: update Tezi, or use "
            "the database that belongs to it."
        )
    if version < newest:
        raise StoreError(
            f"The database has schema {version}, this Tezi needs {newest}: run `tezi migrate`."
        )


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """A transaction for the length of the block, rolled back if the block raises."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors make SQLite roll back by itself
            connection.execute("ROLLBACK")
        raise


def migrate(
    connection: sqlite3.Connection, *, pack: Callable[[sqlite3.Connection], None] | None = None
) -> list[Migration]:
    """Bring the database to the newest schema; return the applied migrations.

    `pack` writes all packs anew; the migration that needs it runs it in its own transaction.

    The connection must be in autocommit mode. A step that fails leaves the schema at the step
    before it.

    Raises:
        StoreError: the schema is newer than this version of Tezi.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        " number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
        " applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"
    )
    applied = []
    for step in migrations():
        with transaction(connection):
            if schema_version(connection) < step.number:
                for statement in _statements(step.sql):
                    connection.execute(statement)
                if pack and step.number == PACKS_MIGRATION:
                    pack(connection)
                connection.execute(
                    "INSERT INTO schema_migrations (number, name) VALUES (?, ?)",
                    (step.number, step.name),
                )
                applied.append(step)
    check_schema(connection)
    return applied


def _statements(sql: str) -> Iterator[str]:
    """The statements of a script, one by one: executescript() would commit on its own."""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        raise StoreError(f"A migration ends inside a statement: {pending.strip()[:60]!r}")
