"""One market under measurement, and how what was measured of it becomes rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from preprocess.calendar import from_day_number
from preprocess.columns import Array, MarketColumns
from preprocess.settings import Settings
from tests.performance.equality import distance
from tests.performance.feature_ways import Pair, newest_pairs
from tests.performance.market import SEED, BenchMarket, bench_settings, read_columns
from tests.performance.measure import Measured
from tests.performance.row import Row


@dataclass(frozen=True)
class Size:
    """How much is measured: by repetition, stocks of the naive samples and of the others."""

    repetitions: int
    naive: int
    naive_postgres: int
    on_line: int
    indicators: int
    compiling: bool


FULL_SIZE = Size(
    repetitions=5, naive=200, naive_postgres=60, on_line=2_000, indicators=200, compiling=True
)
QUICK_SIZE = Size(
    repetitions=3, naive=34, naive_postgres=10, on_line=130, indicators=40, compiling=False
)


@dataclass
class Bench:
    """`samples` (ms by metric) and `findings` (sentences) grow as it goes."""

    market: BenchMarket
    settings: Settings
    columns: MarketColumns
    days: Sequence[date]
    size: Size
    chunks: Sequence[Sequence[Pair]]
    samples: dict[str, Sequence[float]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    postgres_version: str = ""

    @classmethod
    def of(cls, market: BenchMarket, size: Size) -> "Bench":
        """The market with the days and the naive samples that are measured."""
        columns = read_columns(market.database)
        days = newest_days(columns, size.repetitions)
        chunks = newest_pairs(columns, size.naive, days, SEED)
        return cls(market, bench_settings(market), columns, days, size, chunks)

    @property
    def few_naive(self) -> Sequence[Sequence[Pair]]:
        """A fifth of the naive samples, where a median is all that is wanted."""
        return [chunk[: max(self.size.naive // 5, 1)] for chunk in self.chunks]

    def scaled(self, naive: Measured) -> float:
        """Seconds that the naive way takes for all stocks, from the mean over its sample."""
        return float(np.mean(naive.all_ms)) * len(self.columns) / 1e3

    def row(
        self,
        metric: str,
        measured: Measured,
        naive: Measured,
        *,
        goal_ratio: float | None = None,
        note: str = "",
    ) -> Row:
        """Median times of one operation, in ms."""
        self.samples[metric] = measured.all_ms
        return Row(
            metric,
            measured.median_ms,
            "ms",
            naive.median_ms,
            note=note,
            goal_ratio=goal_ratio,
            cpu_s=measured.cpu,
            read_mb=max(measured.read_mb, 0.0),
            peak_mb=measured.peak_mb,
        )

    def batch_row(
        self,
        metric: str,
        measured: Measured,
        naive_s: float,
        *,
        goal: float | None = None,
        goal_ratio: float | None = None,
        note: str = "",
    ) -> Row:
        """Median times of a whole market, in s."""
        self.samples[metric] = measured.all_ms
        return Row(
            metric,
            measured.median_ms / 1e3,
            "s",
            naive_s,
            goal,
            note,
            goal_ratio,
            cpu_s=measured.cpu,
            read_mb=max(measured.read_mb, 0.0),
            peak_mb=measured.peak_mb,
        )


def equality_row(metric: str, parts: Sequence[tuple[Array, Array]]) -> Row:
    """How far the product's rows are from the naive ones; parts are float64 [n, 25] each."""
    apart = distance(
        np.vstack([mine for mine, _ in parts]), np.vstack([naive for _, naive in parts])
    )
    return Row(
        metric,
        apart.relative,
        "relative",
        goal=1e-9,
        note=f"{apart.rows:,} random rows against the naive way; most in {apart.feature}; "
        f"by the value alone {apart.strict:.1e}",
    )


def newest_days(columns: MarketColumns, count: int) -> list[date]:
    """The newest days on which anything traded, newest first."""
    days = np.unique(columns.prices["day"])[-count:]
    return [from_day_number(day) for day in days[::-1].tolist()]
