"""Maintenance of a database: what is done to it once a week while the product goes on serving.

Compacting the change log must not hide a change from any reader. A reader queries the changes after
the sequence it has seen, or whether an entry it has seen still exists (`has_mark`). So the newest
entry of each stock stays, dated with the earliest day of all entries merged into it. The last entry
of each of the newest transactions stays as well, because readers of that moment keep it as their
mark: without it they would read the whole market again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager

# The keys of all tables are indexes already; these are the others that the product's queries use.
INDEXES = {
    # The key begins with the stock; an evening's predictions are queried by day and version.
    "daily_predictions_by_day": "daily_predictions (prediction_date, model_version)",
}

# The marks of this many transactions stay: years of evenings.
KEPT_MARKS = 1_000

# These run in SQLite and in PostgreSQL.
_LOWER_DATES = """
UPDATE change_log SET date = merged.first_day
FROM (SELECT max(sequence) AS newest, min(date) AS first_day FROM change_log
      GROUP BY bse_code) AS merged
WHERE change_log.sequence = merged.newest AND change_log.date > merged.first_day
"""
_DROP_MERGED = f"""
DELETE FROM change_log WHERE sequence NOT IN (
    WITH newest AS (SELECT max(sequence) AS sequence FROM change_log GROUP BY bse_code),
         marks AS (SELECT max(sequence) AS sequence FROM change_log GROUP BY token
                   ORDER BY sequence DESC LIMIT {KEPT_MARKS})
    SELECT sequence FROM newest UNION SELECT sequence FROM marks)
"""  # noqa: S608 - a constant


class Upkeep(ABC):
    """The maintenance tasks of one database, used by one thread.

    No task changes what a reader gets. Each raises StoreError with what to do if it fails.
    """

    @abstractmethod
    def alone(self) -> AbstractContextManager[None]:
        """Keep other maintenance of the same database out for the length of the block.

        Raises:
            StoreError: another maintenance is running.
        """

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Callable[[str], int]]:
        """A transaction that no other writer overlaps; runs statements, returns rows written."""

    @abstractmethod
    def size_bytes(self) -> int:
        """Bytes that the database takes on disk."""

    def compact_change_log(self) -> int:
        """Merge the entries of each stock; returns the number of entries removed."""
        with self._writing() as run:
            run(_LOWER_DATES)
            return run(_DROP_MERGED)

    def create_indexes(self) -> None:
        """Create the missing indexes of INDEXES: all or none, while imports wait.

        Not CONCURRENTLY in PostgreSQL: that cannot be in a transaction, and a failed one leaves an
        invalid index.
        """
        with self._writing() as run:
            for name, columns in INDEXES.items():
                run(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")

    @abstractmethod
    def refresh_samples(self) -> int:
        """Recompute `announcement_samples`, the join of prices, results and labels; its row count.

        Readers see the rows before it or all rows after it.
        """

    @abstractmethod
    def reindex(self) -> None:
        """Rebuild every index."""

    @abstractmethod
    def analyze(self) -> None:
        """Collect the planner's statistics."""

    @abstractmethod
    def vacuum(self) -> str:
        """Free the space of deleted rows; returns a note for the report, often empty."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""
