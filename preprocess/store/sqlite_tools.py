"""The tools of an SQLite database."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

from preprocess.errors import StoreError
from preprocess.samples import Samples
from preprocess.store.base import Store, Writer
from preprocess.store.indexes import Index
from preprocess.store.pool import Connection
from preprocess.store.sqlite import SQLiteStore, explanation
from preprocess.store.sqlite_indexes import create_indexes
from preprocess.store.sqlite_laboratory import SQLiteLaboratory
from preprocess.store.sqlite_pool import SQLitePool
from preprocess.store.sqlite_samples import held_mark, read_samples
from preprocess.store.sqlite_session import SQLiteReader
from preprocess.store.sqlite_upkeep import SQLiteUpkeep
from preprocess.store.statements import Observer, Parameters
from preprocess.store.tools import POOL_SIZE, POOL_WAIT_S, Rows, Version

WRITER_WAIT_S = 10.0


class SQLiteTools:
    """See `DatabaseTools`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def observed(self, observer: Observer) -> Iterator[Store]:
        """The store, for reading, with an observer of its statements."""
        store = SQLiteStore(self._path, observer=observer)
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def laboratory(self) -> Iterator[SQLiteLaboratory]:
        """A copy of the database."""
        with closing(SQLiteLaboratory(self._path)) as laboratory, self._explained():
            yield laboratory

    @contextmanager
    def upkeep(self, derive: Callable[[Writer], None]) -> Iterator[SQLiteUpkeep]:
        """The chores."""
        with closing(SQLiteUpkeep(self._path, derive=derive)) as upkeep:
            yield upkeep

    def pool(self, size: int = POOL_SIZE, wait_s: float = POOL_WAIT_S) -> SQLitePool:
        """A pool of read-only connections."""
        return SQLitePool(self._path, size=size, wait_s=wait_s)

    def create_indexes(self, indexes: Sequence[Index]) -> list[Index]:
        """Make those that are not there, all or none."""
        with self._explained(), closing(self._connect()) as connection:
            return create_indexes(connection, indexes)

    def version(self, connection: Connection) -> Version:
        """What a query on this connection would see now."""
        with self._explained():
            return Version(SQLiteReader(connection).mark(), held_mark(connection))

    def rows(self, connection: Connection, sql: str, parameters: Parameters) -> Rows:
        """Run a query that writes nothing."""
        try:
            cursor = connection.execute(sql, _bound(parameters))
            rows = tuple(map(tuple, cursor.fetchall()))
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            raise StoreError(f"The query is refused: {error}. ({sql.strip()[:200]})") from error
        return Rows(tuple(column[0] for column in cursor.description or ()), rows)

    def samples(self, bse_codes: Sequence[str] | None = None) -> Samples:
        """The announcement samples as they were refreshed last."""
        with self._explained(), closing(self._connect()) as connection:
            return read_samples(connection, bse_codes)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=WRITER_WAIT_S,
            isolation_level=None,
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{explanation(str(error))} ({self._path}: {error})") from error


def _bound(parameters: Parameters) -> Parameters:
    """Days as the tables hold them."""
    if isinstance(parameters, Mapping):
        return {name: _plain(value) for name, value in parameters.items()}
    return [_plain(value) for value in parameters]


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value
