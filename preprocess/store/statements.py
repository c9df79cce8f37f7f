"""What a store tells about each statement that it runs, and who may listen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Parameters = Sequence[object] | Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that has run: its time in ms covers fetching the rows that were fetched."""

    sql: str
    parameters: Parameters
    milliseconds: float


# Called after each statement, in the thread that ran it. It must not raise and must not use the
# store.
Observer = Callable[[Statement], None]
