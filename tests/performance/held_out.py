"""What forests learn from, and rows that they have not seen."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from preprocess.features.batch import STATUSES, batch_rows
from preprocess.features.row import MINIMUM_ROWS, Status
from preprocess.models.native import Float32s
from preprocess.store.sqlite import SQLiteStore
from preprocess.training.dataset import Dataset, build_dataset
from preprocess.training.split import split_by_time
from tests.performance.market import CIRCUIT_PCT, SEED, BenchMarket, read_columns


@dataclass(frozen=True)
class Plan:
    """Which rows each repetition is given: none twice, those of one repetition next to another's.

    `calls` has, by rows of a call, how many calls a repetition makes. Repetition r takes the
    size r modulo the number of sizes, so that the sizes take turns as the ways do. Before its calls
    each repetition makes one that is not measured, which warms buffers and caches.
    """

    calls: dict[int, int]
    rounds: int

    @property
    def repetitions(self) -> int:
        """How many repetitions there are of each way."""
        return self.rounds * len(self.calls)

    @property
    def rows(self) -> int:
        """How many rows it takes."""
        return self.rounds * self._rows_of_a_round()

    def size(self, repetition: int) -> int:
        """Rows of each call of a repetition."""
        return list(self.calls)[repetition % len(self.calls)]

    def slices(self, repetition: int) -> list[slice]:
        """The rows of each call, the unmeasured one first."""
        round_, place = divmod(repetition, len(self.calls))
        sizes = list(self.calls.items())
        start = round_ * self._rows_of_a_round()
        start += sum(_warming(size) + size * calls for size, calls in sizes[:place])
        size, calls = sizes[place]
        measured = start + _warming(size)
        return [slice(start, measured)] + [
            slice(measured + n * size, measured + (n + 1) * size) for n in range(calls)
        ]

    def _rows_of_a_round(self) -> int:
        return sum(_warming(size) + size * calls for size, calls in self.calls.items())


def _warming(size: int) -> int:
    return min(size, 1_000)


def samples(market: BenchMarket) -> Dataset:
    """The market's labelled samples, with their features."""
    store = SQLiteStore(market.database)
    try:
        return build_dataset(store, circuit_pct=CIRCUIT_PCT)
    finally:
        store.close()


def fresh_rows(market: BenchMarket, dataset: Dataset, count: int, target: Path) -> Float32s:
    """Features of `count` pairs of stock and trading day, float32 [count, 25], no pair twice.

    They lie after everything that was learnt from. They are written to `target`, from which
    processes map them.

    Raises:
        ValueError: the market has fewer such pairs.
    """
    columns = read_columns(market.database)
    prices = columns.prices
    places = np.repeat(np.arange(len(columns)), np.diff(prices.starts))
    enough = np.arange(prices.rows) - prices.starts[places] >= MINIMUM_ROWS
    after = int(split_by_time(dataset).validation.days.min())
    held_out = np.flatnonzero((prices["day"] >= after) & enough)
    chosen = np.random.default_rng(SEED).permutation(held_out)[:count]
    rows = batch_rows(columns, places[chosen], prices["day"][chosen])
    good: Float32s = rows.values[rows.status == STATUSES.index(Status.OK)].astype(np.float32)
    if len(good) < count:
        raise ValueError(f"{market.name} has {len(good):,} rows held out, and not {count:,}.")
    np.save(target, good)
    return good
