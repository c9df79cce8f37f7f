"""The upkeep of a database: what has to be done now and then, beside the product that serves."""

from contextlib import AbstractContextManager
from typing import Protocol

# The keys of all tables are indexes already; these are the others that the product's queries use.
INDEXES = {
    # The key begins with the stock; an evening's predictions are asked for by day and version.
    "daily_predictions_by_day": "daily_predictions (prediction_date, model_version)",
}


class Upkeep(Protocol):
    """The chores of one database. Each raises StoreError with what to do if it cannot be done.

    None of them changes what a reader is answered.
    """

    def alone(self) -> AbstractContextManager[None]:
        """Keep other maintenance of the same database out for the time of the block.

        Raises:
            StoreError: another one is at work.
        """
        ...

    def size_bytes(self) -> int:
        """Bytes that the database takes on disk."""
        ...

    def compact_change_log(self) -> int:
        """Merge what the change log says about each stock; how many entries went."""
        ...

    def refresh_samples(self) -> int:
        """Join prices, results and labels anew into `announcement_samples`; how many rows."""
        ...

    def create_indexes(self) -> None:
        """Make those of INDEXES that are not there."""
        ...

    def reindex(self) -> None:
        """Build every index anew."""
        ...

    def analyze(self) -> None:
        """Count what the planner goes by."""
        ...

    def vacuum(self) -> str:
        """Give the room of deleted rows back; what is left to say, or nothing."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...


def index_statements() -> list[str]:
    """The statements that make INDEXES, in either dialect."""
    return [f"CREATE INDEX IF NOT EXISTS {name} ON {columns}" for name, columns in INDEXES.items()]
