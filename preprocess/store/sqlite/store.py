"""The embedded store: one SQLite file in WAL mode, so that readers never wait for a writer."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from preprocess.errors import StoreError, StoreReplacedError
from preprocess.market.columns import MarketColumns
from preprocess.market.values import Mark, StockHistory
from preprocess.store.base import Store
from preprocess.store.migrations import check_schema, migrate, transaction
from preprocess.store.sqlite.packs import read_columns
from preprocess.store.sqlite.session import SQLiteReader, SQLiteWriter, pack_everything

BUSY_TIMEOUT_S = 10.0


class SQLiteStore(Store):
    """A market in one SQLite file. Safe to share between threads; one statement at a time."""

    poll_interval_s = 0.0  # the query reads a page that is in memory anyway

    def __init__(self, path: Path, *, write: bool = False) -> None:
        """Open `path`; with `write`, create it and migrate its schema.

        Raises:
            StoreError: the file is not a database, is in use, or has another schema.
        """
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        with explained(path):
            if write:
                _make_folder(path.parent)
            connection = connect(path, timeout_s=BUSY_TIMEOUT_S, make=write)
            try:
                self._prepare(connection, write=write)
            except BaseException:
                connection.close()
                raise
        self._connection = connection
        self._inode = _inode(path)

    @staticmethod
    def _prepare(connection: sqlite3.Connection, *, write: bool) -> None:
        # No mmap: a market that is read once would stay in this process's memory as file pages.
        connection.execute("PRAGMA cache_size = -65536")  # KiB
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection, pack=pack_everything)
        else:
            connection.execute("PRAGMA query_only = ON")
            check_schema(connection)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._lock, explained(self.path):
            if self._connection is None:
                raise StoreError(f"The store {self.path} is closed.")
            yield self._connection

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._connected() as connection:
            return connection.execute(sql, parameters).fetchall()

    def history(self, bse_code: str) -> StockHistory | None:
        """All that is stored of one stock; None when the stock is not known."""
        with self._connected() as connection:
            return SQLiteReader(connection).history(bse_code)

    @contextmanager
    def transaction(self) -> Iterator[SQLiteWriter]:
        with self._connected() as connection, transaction(connection):
            writer = SQLiteWriter(connection)
            yield writer
            writer.finish()

    @contextmanager
    def view(self) -> Iterator[SQLiteReader]:
        with self._connected() as connection, transaction(connection, "BEGIN"):
            yield SQLiteReader(connection)

    def histories(self, bse_codes: Sequence[str] | None = None) -> Iterator[StockHistory]:
        """Histories one at a time, in the order of `bse_codes`; unknown ones are skipped."""
        for code in self.bse_codes() if bse_codes is None else bse_codes:
            history = self.history(code)
            if history is not None:
                yield history

    def mark(self) -> Mark:
        """The newest entry of the change log.

        Raises:
            StoreReplacedError: there is another file now, which the open connection does not see.
        """
        with self._lock:  # queried before each result, so it skips the layers of other reads
            if self._connection is not None:
                if _inode(self.path) != self._inode:
                    raise StoreReplacedError(f"The database {self.path} was replaced.")
                try:
                    return SQLiteReader(self._connection).mark()
                except sqlite3.Error as error:
                    raise _explained_error(self.path, error) from error
        raise StoreError(f"The store {self.path} is closed.")

    def columns(self, bse_codes: Sequence[str] | None = None) -> MarketColumns:
        with self._connected() as connection, self.view() as read:
            return read_columns(connection, read.mark(), bse_codes)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def connect(path: Path, *, timeout_s: float, make: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode that waits `timeout_s` for a writer; `make`: a new file.

    Raises:
        sqlite3.Error: there is no such file, or it cannot be opened.
    """
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rwc' if make else 'rw'}",
        uri=True,
        timeout=timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The database's folder cannot be made: {error}") from error


_EXPLANATIONS = {
    "locked": "The database is busy: another process writes to it. Try again when it is done.",
    "not a database": "The file is not an SQLite database: name another in TEZI_DATABASE_URL.",
    "malformed": "The database is damaged: put back a copy, or move it away and import again.",
    "readonly": "The database cannot be written: its file or its disk is read-only.",
    "disk is full": "The disk is full and nothing of this change was kept: make room, try again.",
    "disk I/O": "The disk failed: if it is full, make room; if not, check it.",
    # Readers too write beside the file: what they share with a writer.
    "unable to open": (
        "The database cannot be opened: check that it exists, and that the file and its folder may "
        "be read and written."
    ),
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into a StoreError that says what to do."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise _explained_error(path, error) from error


def _explained_error(path: Path, error: Exception) -> StoreError:
    found = (hint for part, hint in _EXPLANATIONS.items() if part in str(error))
    return StoreError(f"{next(found, 'The database refused.')} ({path}: {error})")


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0  # it is gone; what is open is still read
