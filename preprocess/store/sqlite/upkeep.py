"""Maintenance of an SQLite database while readers and a writer use it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from preprocess.errors import StoreError
from preprocess.files import file_lock
from preprocess.store.migrations import check_schema, transaction
from preprocess.store.sqlite.store import connect, explained
from preprocess.store.upkeep import Upkeep

# How long a task waits for a writer, or for readers of old pages, before it gives up.
WAIT_S = 10.0
# ANALYZE reads this many rows of an index: enough for a planner, and no pause on a large market.
ANALYSED_ROWS = 1_000

# The newest bar dated on or before each labelled announcement, and the newest quarter whose results
# were known on it: announced by then, or past calendar.announcement_limit (45 and 60 days; a test
# holds the two together). Unlisted stocks have no sample. The rows are those of
# PostgreSQL's view.
_FILL_SAMPLES = """
INSERT INTO announcement_samples
WITH results AS (
    SELECT *, coalesce(announced_on, date(period_end, CASE quarter WHEN 'Q4' THEN '+60 days'
                                                                  ELSE '+45 days' END)) AS known_on
    FROM result_states)
SELECT l.bse_code, l.earnings_date, p.date, p.close, p.volume, f.fiscal_year, f.quarter, f.known_on,
       f.revenue_cr, f.pat_cr, f.operating_profit_cr, f.eps,
       l.next_day_date, l.price_change_pct, l.label
FROM stocks s JOIN upper_circuit_labels l ON l.bse_code = s.bse_code
LEFT JOIN price_movements p ON p.bse_code = l.bse_code AND p.date = (
    SELECT max(date) FROM price_movements
    WHERE bse_code = l.bse_code AND date <= l.earnings_date)
LEFT JOIN results f ON f.bse_code = l.bse_code AND (f.fiscal_year, f.quarter, f.known_on) = (
    SELECT fiscal_year, quarter, known_on FROM results
    WHERE bse_code = l.bse_code AND known_on <= l.earnings_date
    ORDER BY fiscal_year DESC, quarter DESC, known_on DESC LIMIT 1)
"""


class SQLiteUpkeep(Upkeep):
    """Maintenance of the database at `path`."""

    def __init__(self, path: Path, *, wait_s: float = WAIT_S) -> None:
        """A task waits `wait_s` for a writer.

        Raises:
            StoreError: the file is not a database, or has another schema.
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
    def _writing(self) -> Iterator[Callable[[str], int]]:
        with explained(self._path), transaction(self._connection):
            yield lambda sql: self._connection.execute(sql).rowcount

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock file next to the database."""
        lock = file_lock(self._path.with_name(f"{self._path.name}.maintenance"))
        try:
            lock.acquire()
        except Timeout:
            raise StoreError(
                f"Another maintenance of {self._path} is running: wait until it is done."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def size_bytes(self) -> int:
        """Bytes of the file and of its write-ahead log."""
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def refresh_samples(self) -> int:
        """Refill the table in one transaction."""
        with self._writing() as run:
            run("DELETE FROM announcement_samples")
            return run(_FILL_SAMPLES)

    def reindex(self) -> None:
        """Rebuild every index; a table without a rowid is its own index."""
        with explained(self._path):
            self._connection.execute("REINDEX")

    def analyze(self) -> None:
        with explained(self._path):
            self._connection.execute(f"PRAGMA analysis_limit = {ANALYSED_ROWS}")
            self._connection.execute("ANALYZE")

    def vacuum(self) -> str:
        """Rewrite the database without its gaps, then move the log's pages into the file.

        Readers go on meanwhile, writers wait. The file shrinks once no reader uses old pages, so
        this waits for those readers.

        Raises:
            StoreError: a writer does not finish, or there is no room for a second copy.
        """
        size, free = self.size_bytes(), shutil.disk_usage(self._path.parent).free
        if free < 2 * size:  # a copy in a temporary file, and once more in the log
            raise StoreError(
                f"VACUUM needs {2 * size // 1024**2 + 1} MB free next to {self._path}, and only "
                f"{free // 1024**2} are: make room and try again. The database is unchanged."
            )
        with explained(self._path):
            # The default folder of temporary files is often a small file system in memory.
            folder = str(self._path.parent).replace("'", "''")
            self._connection.execute(f"PRAGMA temp_store_directory = '{folder}'")
            try:
                self._connection.execute("VACUUM")
            finally:
                self._connection.execute("PRAGMA temp_store_directory = ''")
            busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            return "readers use old pages: the file shrinks at the next checkpoint without them"
        return ""

    def close(self) -> None:
        self._connection.close()
