"""The upkeep of an SQLite database, beside the readers and the writer that use it."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from preprocess.errors import StoreError
from preprocess.store.change_log import DROP_MERGED, LOWER_DATES
from preprocess.store.migrations import check_schema, roll_back
from preprocess.store.sqlite.store import connect, explained
from preprocess.store.upkeep import index_statements

# How long a chore waits for a writer, or for readers of old pages, before it says so.
WAIT_S = 10.0
# ANALYZE looks at so many rows of an index: enough for a planner, and no pause on a large market.
ANALYSED_ROWS = 1_000

# The newest bar dated on or before each labelled announcement, and the newest quarter whose results
# were known on it: announced by then, or past calendar.announcement_limit (45 and 60 days; a test
# holds the two together). Stocks that are not listed have none. The same rows as the view of
# PostgreSQL.
_FILL_SAMPLES = """
INSERT INTO announcement_samples
WITH results AS (
    SELECT *, coalesce(announced_on, date(period_end, CASE quarter WHEN 'Q4' THEN '+60 days'
                                                                  ELSE '+45 days' END)) AS known_on
    FROM historical_financials)
SELECT l.bse_code, l.earnings_date, p.date, p.close, p.volume, f.fiscal_year, f.quarter, f.known_on,
       f.revenue_cr, f.pat_cr, f.operating_profit_cr, f.eps,
       l.next_day_date, l.price_change_pct, l.label
FROM stocks s JOIN upper_circuit_labels l ON l.bse_code = s.bse_code
LEFT JOIN price_movements p ON p.bse_code = l.bse_code AND p.date = (
    SELECT max(date) FROM price_movements
    WHERE bse_code = l.bse_code AND date <= l.earnings_date)
LEFT JOIN results f ON f.bse_code = l.bse_code AND (f.fiscal_year, f.quarter) = (
    SELECT fiscal_year, quarter FROM results
    WHERE bse_code = l.bse_code AND known_on <= l.earnings_date
    ORDER BY fiscal_year DESC, quarter DESC LIMIT 1)
"""


class SQLiteUpkeep:
    """The chores of the database at `path`. Used by one thread at a time."""

    def __init__(self, path: Path, *, wait_s: float = WAIT_S) -> None:
        """A task waits `wait_s` for a writer.

        Raises:
            StoreError: the file is no database, or has another schema.
        """
        self._path = path
        with explained(self._path):
            self._connection = connect(path, timeout_s=wait_s)
            try:
                self._connection.execute("PRAGMA cache_size = -65536")
                self._connection.execute("PRAGMA synchronous = FULL")
                check_schema(self._connection)
            except BaseException:
                self._connection.close()
                raise

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with explained(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                roll_back(self._connection)
                raise

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

    def compact_change_log(self) -> int:
        """Merge the entries of each stock; see `change_log`."""
        with self._transaction():
            self._connection.execute(LOWER_DATES)
            return self._connection.execute(DROP_MERGED).rowcount

    def refresh_samples(self) -> int:
        """Fill the table anew in one transaction: readers see the rows before it, or all after."""
        with self._transaction():
            self._connection.execute("DELETE FROM announcement_samples")
            return self._connection.execute(_FILL_SAMPLES).rowcount

    def create_indexes(self) -> None:
        """Make those of INDEXES that are not there."""
        with self._transaction():
            for statement in index_statements():
                self._connection.execute(statement)

    def reindex(self) -> None:
        """Build every index anew; a table without a rowid is an index of itself."""
        with explained(self._path):
            self._connection.execute("REINDEX")

    def analyze(self) -> None:
        """Count what the planner goes by."""
        with explained(self._path):
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
        with explained(self._path):
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
