"""The upkeep of an SQLite database, beside the readers and the writer that use it."""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from preprocess.errors import StoreError
from preprocess.samples import Refreshed
from preprocess.store.base import Writer
from preprocess.store.change_log import DROP_MERGED, LOWER_DATES
from preprocess.store.migrations import check_schema
from preprocess.store.sqlite import explanation
from preprocess.store.sqlite_pack_check import check_packs
from preprocess.store.sqlite_samples import refresh_samples
from preprocess.store.upkeep import PackCheck

# How long a chore waits for a writer, or for readers of old pages, before it says so.
WAIT_S = 10.0
# ANALYZE looks at so many rows of an index: enough for a planner, and no pause on a large market.
ANALYSED_ROWS = 1_000


class SQLiteUpkeep:
    """The chores of the database at `path`. Used by one thread at a time."""

    def __init__(
        self, path: Path, *, derive: Callable[[Writer], None], wait_s: float = WAIT_S
    ) -> None:
        """`derive` brings up to date what follows from rows that were put right.

        Raises:
            StoreError: the file is no database, or has another schema.
        """
        self._path = path
        self._derive = derive
        with self._explained():
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=wait_s,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._connection.execute("PRAGMA cache_size = -65536")
                self._connection.execute("PRAGMA synchronous = FULL")
                check_schema(self._connection)
            except BaseException:
                self._connection.close()
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{explanation(str(error))} ({self._path}: {error})") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock file beside the database; the system lets go of it if this process dies."""
        lock = self._path.with_name(f"{self._path.name}.maintenance")
        with lock.open("a+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise StoreError(
                    f"Another maintenance of {self._path} is at work (process {holder}): wait "
                    "until it is done."
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def size_bytes(self) -> int:
        """Bytes of the file and of its write-ahead log."""
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def check_packs(self) -> PackCheck:
        """Compare packs with rows; see `sqlite_pack_check`."""
        with self._explained():
            return check_packs(self._connection, self._derive)

    def compact_change_log(self) -> int:
        """Merge the entries of each stock; see `change_log`."""
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.execute(LOWER_DATES)
                dropped = self._connection.execute(DROP_MERGED).rowcount
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return dropped

    def refresh_samples(self) -> Refreshed:
        """Bring the announcement samples to the newest commit."""
        with self._explained():
            return refresh_samples(self._connection)

    def reindex(self) -> None:
        """Build every index anew; a table without a rowid is an index of itself."""
        with self._explained():
            self._connection.execute("REINDEX")

    def analyze(self) -> None:
        """Count what the planner goes by."""
        with self._explained():
            self._connection.execute(f"PRAGMA analysis_limit = {ANALYSED_ROWS}")
            self._connection.execute("ANALYZE")

    def vacuum(self) -> str:
        """Write the database anew without its gaps, then move the log's pages into the file.

        Readers go on meanwhile, and writers wait. The file becomes smaller once nobody reads old
        pages any more, which is waited for.

        Raises:
            StoreError: a writer does not end, or there is no room for a second copy.
        """
        size, free = self.size_bytes(), shutil.disk_usage(self._path.parent).free
        if free < 2 * size:  # a copy in a temporary file, and once more in the log
            raise StoreError(
                f"VACUUM needs {2 * size // 1024**2 + 1} MB free beside {self._path} and there are "
                f"{free // 1024**2}: make room and try again. The database is as it was."
            )
        with self._explained():
            # The default for temporary files is often a small file system in memory.
            folder = str(self._path.parent).replace("'", "''")
            self._connection.execute(f"PRAGMA temp_store_directory = '{folder}'")
            try:
                self._connection.execute("VACUUM")
            finally:
                self._connection.execute("PRAGMA temp_store_directory = ''")
            busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            return (
                "readers hold old pages: the file becomes smaller at the next checkpoint without "
                "them"
            )
        return ""

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()
