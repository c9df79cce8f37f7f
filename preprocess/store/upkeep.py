"""The upkeep of a database: what has to be done now and then, beside the product that serves."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from preprocess.samples import Refreshed


@dataclass(frozen=True, slots=True)
class PackCheck:
    """What a comparison of packs and rows found: stocks looked at, and those put right."""

    stocks: int
    repaired: tuple[str, ...] = ()


class Upkeep(Protocol):
    """The chores of one database. Each raises StoreError with what to do if it cannot be done.

    None of them changes what a reader is answered, but for `check_packs`, whose repairs are
    written to the change log like any other change.
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

    def check_packs(self) -> PackCheck:
        """Compare every pack with the rows that it was made of, and write the wrong ones anew."""
        ...

    def compact_change_log(self) -> int:
        """Merge what the change log says about each stock; how many entries went."""
        ...

    def refresh_samples(self) -> Refreshed:
        """Bring the announcement samples to the newest commit."""
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
