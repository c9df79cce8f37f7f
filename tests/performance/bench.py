"""One market under measurement, and how what was measured of it becomes rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from preprocess.market.columns import MarketColumns
from preprocess.settings import Settings
from tests.performance.market import SEED, BenchMarket, bench_settings, read_columns
from tests.performance.measure import Measured
from tests.performance.pairs import Chunks, chunks_by_day, newest_days
from tests.performance.row import Row


@dataclass(frozen=True)
class Size:
    """How much is measured: by repetition, stocks of the naive samples and of the others."""

    repetitions: int
    naive: int
    naive_postgres: int
    on_line: int
    one_stock: int


FULL_SIZE = Size(repetitions=5, naive=200, naive_postgres=60, on_line=2_000, one_stock=200)
QUICK_SIZE = Size(repetitions=3, naive=34, naive_postgres=10, on_line=130, one_stock=40)


@dataclass
class Bench:
    """`samples` (ms by metric) grow as it goes; `chunks` are the naive way's random stocks."""

    market: BenchMarket
    settings: Settings
    columns: MarketColumns
    days: Sequence[date]
    size: Size
    chunks: Chunks
    samples: dict[str, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, market: BenchMarket, size: Size) -> "Bench":
        """The market with the days and the naive samples that are measured."""
        columns = read_columns(market.database)
        days = newest_days(columns, size.repetitions)
        chunks = chunks_by_day(columns, size.naive, days, SEED)
        return cls(market, bench_settings(market), columns, days, size, chunks)

    @property
    def few_naive(self) -> Chunks:
        """A fifth of the naive samples, where a median is all that is wanted."""
        return [chunk[: max(self.size.naive // 5, 1)] for chunk in self.chunks]

    def codes(self, count: int, seed: int) -> list[list[str]]:
        """For each repetition `count` stocks, no two alike as far as the market goes."""
        order = np.random.default_rng(seed).permutation(len(self.columns))
        wanted = np.resize(order, count * self.size.repetitions)
        found = [code.decode() for code in self.columns.codes[wanted].tolist()]
        return [found[start : start + count] for start in range(0, len(found), count)]

    def scaled_ms(self, naive: Measured) -> float:
        """What the naive way takes for all stocks, from the mean over its sample."""
        return float(np.mean(naive.all_ms)) * len(self.columns)

    def row(
        self,
        metric: str,
        measured: Measured,
        baseline_ms: float,
        *,
        value_ms: float | None = None,
        unit: str = "ms",
        goal: float | None = None,
        goal_ratio: float | None = None,
        note: str = "",
    ) -> Row:
        """A row in ms or s with what it took; the value is the median unless it is given."""
        self.samples[metric] = measured.all_ms
        size = {"ms": 1.0, "s": 1e3}[unit]
        return Row(
            metric,
            (measured.median_ms if value_ms is None else value_ms) / size,
            unit,
            baseline_ms / size,
            goal,
            note,
            goal_ratio,
            cpu_s=measured.cpu,
            read_mb=max(measured.read_mb, 0.0),
            peak_mb=measured.peak_mb,
        )
