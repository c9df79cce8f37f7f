"""What the five kinds of import have in common."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from preprocess.imports.refusal import Refusal
from preprocess.imports.table import CsvTable
from preprocess.market.values import Tally
from preprocess.store import Writer

T = TypeVar("T")


class Importer(Protocol[T]):
    """One kind of import. It keeps no state between files."""

    @property
    def kind(self) -> str:
        """The name that the command line has for it."""
        ...

    def read(self, table: CsvTable) -> Iterator[T | Refusal | None]:
        """Each row as a value, a refusal, or None for a row that is skipped on purpose.

        This checks that the file is of this kind before it returns: later, only damage of the file
        on disk can refuse it.

        Raises:
            ImportRefusedError: the file is not of this kind, or is damaged.
        """
        ...

    def write(self, writer: Writer, values: Sequence[T]) -> Tally:
        """Put values that `read` gave into the store."""
        ...
