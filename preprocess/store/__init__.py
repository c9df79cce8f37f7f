"""The market database: an interface (`Store`) and its two implementations."""

from pathlib import Path
from typing import Any

from preprocess.database_url import DatabaseURL, SQLiteURL
from preprocess.errors import StoreError
from preprocess.settings import Settings
from preprocess.store.base import Store
from preprocess.store.pool import POOL_SIZE, POOL_WAIT_S, Pool
from preprocess.store.reading import Reader
from preprocess.store.sqlite.pool import SQLitePool
from preprocess.store.sqlite.store import SQLiteStore
from preprocess.store.sqlite.upkeep import SQLiteUpkeep
from preprocess.store.upkeep import Upkeep
from preprocess.store.writing import Writer

__all__ = [
    "Pool",
    "Reader",
    "SQLiteStore",
    "Store",
    "Upkeep",
    "Writer",
    "open_database",
    "open_pool",
    "open_store",
    "open_upkeep",
]

# psycopg2 is imported only for a PostgreSQL database: SQLite works without libpq.


def open_store(settings: Settings, *, write: bool = False) -> Store:
    """The store that the settings name.

    With `write` a missing SQLite database is created, and the schema is migrated to the newest. A
    PostgreSQL database must exist, and may be empty.

    Raises:
        StoreError: there is no database to read, or it cannot be opened.
    """
    return open_database(settings.database, settings, write=write)


def open_existing_store(settings: Settings) -> Store:
    """The store, for writing, of a database that exists; its schema is migrated.

    Raises:
        StoreError: there is no database, or it cannot be opened.
    """
    if isinstance(settings.database, SQLiteURL):
        _existing(settings.database.path)
    return open_store(settings, write=True)


def open_database(url: DatabaseURL, settings: Settings, *, write: bool = False) -> Store:
    """The store at `url`, with the pool size and timeouts of the settings."""
    if isinstance(url, SQLiteURL):
        return SQLiteStore(url.path if write else _existing(url.path), write=write)
    from preprocess.store.postgres.store import PostgresStore  # noqa: PLC0415 - see above

    return PostgresStore(
        url,
        write=write,
        pool_size=settings.postgres_pool_size,
        pool_wait_s=settings.postgres_pool_wait_s,
        statement_timeout_s=settings.postgres_statement_timeout_s,
    )


def open_pool(
    settings: Settings, *, size: int = POOL_SIZE, wait_s: float = POOL_WAIT_S
) -> Pool[Any]:
    """A pool of read-only PEP 249 connections to the database that the settings name.

    Raises:
        StoreError: there is no database.
    """
    url = settings.database
    if isinstance(url, SQLiteURL):
        return SQLitePool(_existing(url.path), size=size, wait_s=wait_s)
    from preprocess.store.postgres.connection import connect  # noqa: PLC0415 - see above
    from preprocess.store.postgres.pool import ConnectionPool  # noqa: PLC0415

    timeout_s = settings.postgres_statement_timeout_s
    return ConnectionPool(
        lambda: connect(url, read_only=True, statement_timeout_s=timeout_s),
        size=size,
        wait_s=wait_s,
        url=url,
    )


def open_upkeep(settings: Settings) -> Upkeep:
    """The maintenance tasks of the database that the settings name.

    Raises:
        StoreError: there is no database, or it has another schema.
    """
    url = settings.database
    if isinstance(url, SQLiteURL):
        return SQLiteUpkeep(_existing(url.path))
    from preprocess.store.postgres.upkeep import PostgresUpkeep  # noqa: PLC0415 - see above

    return PostgresUpkeep(url)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise StoreError(
            f"There is no market database at {path}. Make one with `tezi demo`, or import real "
            "prices with `tezi import prices FILE`."
        )
    return path
