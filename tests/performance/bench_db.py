"""`python -m tests.performance db`: one stock's prices, all results, and the join as of each date.

The naive way has plain tables with an index on the key; baseline and product run in turns, each in
a process of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from preprocess.columns import MarketColumns
from preprocess.settings import load_settings
from tests.performance import db_ways as ways
from tests.performance.market import (
    QUICK,
    SEED,
    WHOLE,
    BenchMarket,
    bench_settings,
    generated_market,
    read_columns,
)
from tests.performance.measure import Measured, Way, in_turns, one_thread
from tests.performance.postgres_market import PostgresMarket, postgres_market
from tests.performance.report import Report
from tests.performance.row import Row

_BATCH = 100


@dataclass
class Bench:
    """One market under measurement; `samples` (ms by metric) grow as it goes."""

    market: BenchMarket
    columns: MarketColumns
    repetitions: int
    stocks: int
    samples: dict[str, Sequence[float]] = field(default_factory=dict)

    def codes(self, count: int, seed: int) -> list[list[str]]:
        """For each repetition `count` stocks, no two alike as far as the market goes."""
        order = np.random.default_rng(seed).permutation(len(self.columns))
        wanted = np.resize(order, count * self.repetitions)
        found = [code.decode() for code in self.columns.codes[wanted].tolist()]
        return [found[start : start + count] for start in range(0, len(found), count)]

    def row(
        self,
        metric: str,
        measured: Measured,
        naive_ms: float,
        *,
        goal_ratio: float | None = None,
        note: str = "",
    ) -> Row:
        """Median times in ms, and what one operation took."""
        self.samples[metric] = measured.all_ms
        return Row(
            metric,
            measured.median_ms,
            "ms",
            naive_ms,
            note=note,
            goal_ratio=goal_ratio,
            cpu_s=measured.cpu,
            read_mb=max(measured.read_mb, 0.0),
            peak_mb=measured.peak_mb,
        )


def run(*, quick: bool, command: str) -> Report:
    """Measure; the first time, the market is made."""
    one_thread()
    market = generated_market(load_settings().home, QUICK if quick else WHOLE)
    columns = read_columns(market.database)
    bench = Bench(market, columns, repetitions=3 if quick else 5, stocks=40 if quick else 200)
    rows = [*one_stock(bench), financials(bench), join_sqlite(bench)]
    with postgres_market(market) as postgres:
        rows.append(join_postgres(bench, postgres))
    return Report(
        name="db",
        command=command,
        seed=SEED,
        rows=rows,
        samples=bench.samples,
        plot="pairs",
        settings={
            "stocks": len(columns),
            "prices": columns.prices.rows,
            "samples": columns.labels.rows,
            "repetitions": bench.repetitions,
            "postgresql": postgres.version,
        },
    )


def one_stock(bench: Bench) -> list[Row]:
    """A stock's prices as SQL, from the packs, and for many stocks out of the query cache."""
    codes, settings = bench.codes(bench.stocks, SEED), bench_settings(bench.market)
    batches = bench.codes(_BATCH, SEED + 1)
    found = in_turns(
        [
            Way("naive", ways.naive_prices, (bench.market.naive, codes)),
            Way("pooled", ways.pooled_prices, (settings, codes)),
            Way("packed", ways.packed_prices, (settings, codes)),
            Way("cache", ways.cached_batch, (settings, batches)),
        ],
        bench.repetitions,
    )
    naive_ms = found["naive"].median_ms
    return [
        bench.row(
            "price_one_stock",
            found["pooled"],
            naive_ms,
            goal_ratio=15.0,
            note="pooled SQL: two of nine columns, 365 rows",
        ),
        bench.row(
            "price_one_stock_packed",
            found["packed"],
            naive_ms,
            goal_ratio=45.0,
            note="packs out of the database",
        ),
        bench.row(
            "batch_from_cache",
            found["cache"],
            naive_ms * _BATCH,
            note=f"{_BATCH} stocks by query_with_cache, all asked for before; pooled SQL would "
            f"take {found['pooled'].median_ms * _BATCH:.3g} ms",
        ),
    ]


def financials(bench: Bench) -> Row:
    """Every stock's results."""
    few = bench.codes(bench.stocks // 2, SEED + 2)
    found = in_turns(
        [
            Way("naive", ways.naive_results, (bench.market.naive, few)),
            Way("packs", ways.all_results, (bench_settings(bench.market),)),
        ],
        bench.repetitions,
    )
    naive = found["naive"].all_ms
    return bench.row(
        "financials_all",
        found["packs"],
        float(np.mean(naive)) * len(bench.columns),
        goal_ratio=60.0,
        note=f"one pass over the packs; naive: {len(naive)} random stocks, scaled",
    )


def join_sqlite(bench: Bench) -> Row:
    """Price, results and label of every sample, from SQLite."""
    settings = bench_settings(bench.market)
    found = in_turns(
        [
            Way("naive", ways.naive_join, (bench.market.naive,)),
            Way("join", ways.product_join, (settings,)),
        ],
        bench.repetitions,
    )
    return _join_row(bench, "join_100k_sqlite", found)


def join_postgres(bench: Bench, postgres: PostgresMarket) -> Row:
    """The same from PostgreSQL."""
    found = in_turns(
        [
            Way("naive", ways.naive_join, (postgres.dsn,)),
            Way("join", ways.product_join, (postgres.settings,)),
        ],
        bench.repetitions,
    )
    return _join_row(bench, "join_100k_postgres", found)


def _join_row(bench: Bench, metric: str, found: Mapping[str, Measured]) -> Row:
    expected, result = (found[name].times[0].result for name in ("naive", "join"))
    for column, values in expected.items():
        mine = np.asarray(result[column], np.float64)
        if not np.array_equal(mine, values.astype(np.float64), equal_nan=True):
            raise AssertionError(f"{metric}: another {column} than the naive way's.")
    return bench.row(
        metric,
        found["join"],
        found["naive"].median_ms,
        goal_ratio=60.0,
        note=f"{bench.columns.labels.rows:,} samples, every one compared; read from what is kept",
    )
