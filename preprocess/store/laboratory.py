"""What it takes to find out whether an index helps: a place where it can be built and measured."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from preprocess.store.indexes import Index
from preprocess.store.workload import NamedQuery

# One query is measured within about this time, and a single run is stopped after the longest.
MEASURED_S = 1.0
LONGEST_RUN_S = 20.0
MOST_RUNS = 9


@dataclass(frozen=True, slots=True)
class Plan:
    """How the database means to answer: its own text, and the tables that it scans or sorts."""

    text: tuple[str, ...]
    slow_tables: tuple[str, ...]

    def uses(self, index: Index) -> bool:
        """Whether the plan names the index."""
        return any(index.name in line for line in self.text)


@dataclass(frozen=True, slots=True)
class Built:
    """An index that was built to be tried: its size and how long it took."""

    size_bytes: int
    milliseconds: float


class Laboratory(Protocol):
    """A copy of the database, or a transaction that will be undone. Nothing done here stays."""

    @property
    def what(self) -> str:
        """In words, for a report: what the measurements were made on."""
        ...

    def plan(self, query: NamedQuery) -> Plan:
        """The plan of a query.

        Raises:
            StoreError: the query is refused.
        """
        ...

    def measure(self, query: NamedQuery) -> float | None:
        """Median milliseconds of a query with all of its rows; None if it takes too long."""
        ...

    def candidates(self, query: NamedQuery, plan: Plan) -> Sequence[Index]:
        """Indexes worth trying, most promising first."""
        ...

    def built(self, index: Index) -> AbstractContextManager[Built]:
        """The index, for the time of the block."""
        ...


def median_ms(run: Callable[[], float | None]) -> float | None:
    """Median of what several runs took, the first left out; None once one takes too long."""
    if run() is None:  # fills caches, for the plan with an index as for that without
        return None
    spent: list[float] = []
    end = time.perf_counter() + MEASURED_S
    while len(spent) < MOST_RUNS and (not spent or time.perf_counter() < end):
        took = run()
        if took is None:
            return None
        spent.append(took)
    return statistics.median(spent)
