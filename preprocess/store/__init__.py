"""The market database: an interface (`Store`) and what stands behind it."""

from preprocess.database_url import DatabaseURL, SQLiteURL
from preprocess.errors import StoreError
from preprocess.settings import Settings
from preprocess.store.base import Reader, Store, Writer
from preprocess.store.slow_log import SlowQueryLog
from preprocess.store.sqlite import SQLiteStore
from preprocess.store.statements import Observer

__all__ = ["Reader", "SQLiteStore", "Store", "Writer", "open_database", "open_store"]


def open_store(settings: Settings, *, write: bool = False) -> Store:
    """The store that the settings name.

    With `write` the database is made if it is not there and brought to the newest schema; a
    PostgreSQL database must be there, and may be empty.
    Statements that take longer than TEZI_SLOW_QUERY_MS go to the slow-query log.

    Raises:
        StoreError: there is no database to read, or it cannot be opened.
    """
    return open_database(settings.database, settings, write=write, observer=_slow_log(settings))


def open_database(
    url: DatabaseURL,
    settings: Settings,
    *,
    write: bool = False,
    observer: Observer | None = None,
) -> Store:
    """The store at `url`; the settings say how it is talked to."""
    if isinstance(url, SQLiteURL):
        if not write and not url.path.exists():
            raise StoreError(
                f"There is no market database at {url}. Make one with `tezi demo`, or bring in "
                "real prices with `tezi import prices FILE`."
            )
        return SQLiteStore(url.path, write=write, observer=observer)
    from preprocess.store.postgres import PostgresStore  # noqa: PLC0415 - SQLite does without libpq

    return PostgresStore(
        url,
        write=write,
        pool_size=settings.postgres_pool_size,
        pool_wait_s=settings.postgres_pool_wait_s,
        statement_timeout_s=settings.postgres_statement_timeout_s,
        observer=observer,
    )


def _slow_log(settings: Settings) -> SlowQueryLog | None:
    if not settings.slow_query_ms:
        return None
    return SlowQueryLog(settings.slow_query_log, slower_than_ms=settings.slow_query_ms)
