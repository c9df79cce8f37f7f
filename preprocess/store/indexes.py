"""Indexes as values: what they are called, which ones might help a query."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from preprocess.errors import StoreError
from preprocess.store.sql_text import Wanted

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_PREFIX = "tezi_ix"
_LONGEST_NAME = 63  # PostgreSQL cuts a longer one off
_MOST_COLUMNS = 4
_MOST_CANDIDATES = 8


@dataclass(frozen=True, slots=True, order=True)
class Index:
    """An index over `columns` of `table`, in that order.

    Raises:
        StoreError: a name is not one of lower-case letters, digits and underscores.
    """

    table: str
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        wrong = [name for name in (self.table, *self.columns) if not _NAME.fullmatch(name)]
        if wrong or not self.columns or len(set(self.columns)) < len(self.columns):
            raise StoreError(f"This is no index of a table of Tezi: {self.table}{self.columns}.")

    @property
    def name(self) -> str:
        """The same for the same index, so that making it twice makes one."""
        return "_".join((_PREFIX, self.table, *self.columns))[:_LONGEST_NAME]

    @property
    def sql(self) -> str:
        """The statement that makes it, in either dialect."""
        return f"CREATE INDEX {self.name} ON {self.table} ({', '.join(self.columns)})"


def candidates(
    table: str, columns: Iterable[str], present: Iterable[Sequence[str]], wanted: Wanted
) -> list[Index]:
    """Indexes of `table` worth trying for a query, most promising first, eight at most.

    `present` are the column lists of its keys and indexes; a candidate that one of them begins
    with is left out.
    """
    own = set(columns)
    equal = [name for name in wanted.equal if name in own]
    ranged = [name for name in wanted.ranged if name in own and name not in equal]
    ordered = [name for name in wanted.sorted_by if name in own]
    lists = dict.fromkeys(
        choice[:_MOST_COLUMNS] for choice in _choices(equal, ranged, ordered) if choice
    )
    there = [tuple(names) for names in present]
    return [
        Index(table, choice)
        for choice in lists
        if not any(names[: len(choice)] == choice for names in there)
    ][:_MOST_CANDIDATES]


def _choices(equal: list[str], ranged: list[str], ordered: list[str]) -> Iterator[tuple[str, ...]]:
    """Equalities before the one range that a B-tree can use, or before the order of the rows."""
    yield (*equal, *ranged[:1])
    yield (*equal, *(name for name in ordered if name not in equal))
    for name in equal:
        yield (name, *ranged[:1])
    for name in (*equal, *ranged):
        yield (name,)
    yield tuple(ordered)
