"""The embedded store: one SQLite file in WAL mode, so that readers never wait for a writer."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from preprocess.columns import MarketColumns
from preprocess.errors import StoreError
from preprocess.market import Change, DailyPrediction, Listing, Mark, Span, Stock, StockHistory
from preprocess.store.migrations import check_schema, migrate
from preprocess.store.sqlite_packs import read_columns
from preprocess.store.sqlite_reading import SQLiteReader
from preprocess.store.sqlite_writing import SQLiteWriter, pack_everything

BUSY_TIMEOUT_S = 10.0

PACKS_MIGRATION = 2


class SQLiteStore:
    """A market in one SQLite file. Safe to share between threads; one statement at a time."""

    poll_interval_s = 0.0  # a page that is in memory anyway

    def __init__(self, path: Path, *, write: bool = False) -> None:
        """Open `path`; with `write`, make it and bring its schema up to date.

        Raises:
            StoreError: the file is no database, is in use, or has another schema.
        """
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        with self._explained():
            if write:
                _make_folder(path.parent)
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={'rwc' if write else 'rw'}",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._prepare(connection, write=write)
            except BaseException:
                connection.close()
                raise
        self._connection = connection

    @staticmethod
    def _prepare(connection: sqlite3.Connection, *, write: bool) -> None:
        connection.execute("PRAGMA mmap_size = 1073741824")
        connection.execute("PRAGMA cache_size = -65536")  # KiB
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection, then={PACKS_MIGRATION: pack_everything})
        else:
            connection.execute("PRAGMA query_only = ON")
            check_schema(connection)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{_explanation(str(error))} ({self.path}: {error})") from error

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._explained():
            if self._connection is None:
                raise StoreError(f"The store {self.path} is closed.")
            yield self._connection

    @contextmanager
    def _reading(self) -> Iterator[SQLiteReader]:
        with self._connected() as connection:
            yield SQLiteReader(connection)

    @contextmanager
    def transaction(self) -> Iterator[SQLiteWriter]:
        """One atomic change of the market; see `Store.transaction`."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            writer = SQLiteWriter(connection)
            try:
                yield writer
                writer.finish()
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def history(self, bse_code: str) -> StockHistory | None:
        """All that is stored of one stock; None when the stock is not known."""
        with self._reading() as read:
            return read.history(bse_code)

    def histories(self, bse_codes: Sequence[str] | None = None) -> Iterator[StockHistory]:
        """Histories one at a time, in the order of `bse_codes`; unknown ones are skipped."""
        for code in self.bse_codes() if bse_codes is None else bse_codes:
            history = self.history(code)
            if history is not None:
                yield history

    def bse_codes(self) -> list[str]:
        """The codes of all stocks, ascending."""
        with self._reading() as read:
            return read.bse_codes()

    def stocks(self) -> list[Stock]:
        """All stocks, ascending by code."""
        with self._reading() as read:
            return read.stocks()

    def listings(self) -> list[Listing]:
        """The stocks that have a price, ascending by code."""
        with self._reading() as read:
            return read.listings()

    def sector_codes(self) -> dict[str, int]:
        """The integer code of every sector that was ever stamped."""
        with self._reading() as read:
            return read.sector_codes()

    def stamped_months(self) -> set[str]:
        """The months for which static features have been computed."""
        with self._reading() as read:
            return read.stamped_months()

    def predictions(self, prediction_date: date, model_version: int) -> list[DailyPrediction]:
        """The stored predictions of a day by a version, ascending by code."""
        with self._reading() as read:
            return read.predictions(prediction_date, model_version)

    def price_days(self) -> tuple[date, date] | None:
        """The first and the last day that any price is dated; None when there is none."""
        with self._reading() as read:
            return read.price_days()

    def span(self) -> Span:
        """How much is stored, table by table."""
        with self._reading() as read:
            return read.span()

    def sequence(self) -> int:
        """Number of the newest change; 0 when nothing was ever written."""
        with self._reading() as read:
            return read.sequence()

    def mark(self) -> Mark:
        """The newest entry of the change log."""
        with self._reading() as read:
            return read.mark()

    def has_mark(self, mark: Mark) -> bool:
        """Whether the change log holds this very entry."""
        with self._reading() as read:
            return read.has_mark(mark)

    def columns(self, bse_codes: Sequence[str] | None = None) -> MarketColumns:
        """The columns of `bse_codes` (default: all), read in one pass as of one commit."""
        with self._connected() as connection:
            connection.execute("BEGIN")
            try:
                return read_columns(connection, SQLiteReader(connection).mark(), bse_codes)
            finally:
                connection.execute("COMMIT")

    def changes_since(self, sequence: int) -> list[Change]:
        """The changes after `sequence`, ascending."""
        with self._reading() as read:
            return read.changes_since(sequence)

    def close(self) -> None:
        """Let go of the database; closing twice does nothing."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The database's folder cannot be made: {error}") from error


_EXPLANATIONS = {
    "locked": "The database is busy: another process writes to it. Try again when it is done.",
    "not a database": "The file is no SQLite database: name another in TEZI_DATABASE_URL.",
    "malformed": "The database is damaged: put back a copy, or move it away and import again.",
    "readonly": "The database cannot be written: its file or its disk is read-only.",
    "disk is full": "The disk is full and nothing of this change was kept: make room, try again.",
    "unable to open": "The database cannot be opened: check that it exists and may be read.",
}


def _explanation(text: str) -> str:
    found = (hint for part, hint in _EXPLANATIONS.items() if part in text)
    return next(found, "The database refused.")
