"""`tezi bench db`: reading one stock, all results, and the join as of each date.

The naive way has plain tables with an index on the key; baseline and product run in turns, each in
a process of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from preprocess.columns import MarketColumns
from preprocess.settings import Settings, load_settings
from tests.performance import db_ways as ways
from tests.performance.market import (
    QUICK,
    SEED,
    WHOLE,
    BenchMarket,
    bench_settings,
    generated_market,
    read_columns,
    real_market,
)
from tests.performance.measure import Measured, Way, in_turns
from tests.performance.postgres_market import PostgresMarket, postgres_market
from tests.performance.report import Report
from tests.performance.row import Row
from tests.performance.threads import one_thread

Found = Mapping[str, Measured]

_BATCH = 100


@dataclass
class Bench:
    """One market under measurement; `samples` (ms by metric) grow as it goes."""

    market: BenchMarket
    settings: Settings
    columns: MarketColumns
    repetitions: int
    stocks: int
    suffix: str = ""
    samples: dict[str, Sequence[float]] = field(default_factory=dict)

    def codes(self, count: int, seed: int) -> list[list[str]]:
        """For each repetition `count` stocks, no two alike as far as the market goes."""
        random = np.random.default_rng(seed)
        order = random.permutation(len(self.columns))
        wanted = np.resize(order, count * self.repetitions)
        found = [code.decode() for code in self.columns.codes[wanted].tolist()]
        return [found[start : start + count] for start in range(0, len(found), count)]

    def row(
        self,
        metric: str,
        measured: Measured,
        naive: Measured | float,
        *,
        goal_ratio: float | None = None,
        note: str = "",
    ) -> Row:
        """Median times in ms; `naive` may be ms."""
        self.samples[metric + self.suffix] = measured.all_ms
        return Row(
            metric + self.suffix,
            measured.median_ms,
            "ms",
            naive if isinstance(naive, float) else naive.median_ms,
            note=note,
            goal_ratio=goal_ratio,
            cpu_s=measured.cpu,
            read_mb=max(measured.read_mb, 0.0),
            peak_mb=measured.peak_mb,
        )


def run(*, quick: bool, command: str) -> Report:
    """Measure; the first time, the generated market is made."""
    one_thread()
    home = load_settings().home
    market = generated_market(home, QUICK if quick else WHOLE)
    bench = _bench(market, repetitions=3 if quick else 5, stocks=40 if quick else 200)
    findings: list[str] = []
    rows = [*one_stock(bench), *all_stocks(bench)]
    with postgres_market(market) as postgres:
        rows += on_postgres(bench, postgres)
    samples = dict(bench.samples)
    findings.append(_cache_finding(rows))
    findings.append(
        f"Every one of the {bench.columns.labels.rows:,} joined rows is the same by each way."
    )
    real = None if quick else real_market(home)
    if quick:
        findings.append("--quick leaves out the real market data.")
    elif real is None:
        findings.append("The real market data (../shared/market-data) are private and not here.")
    else:
        whole = _bench(real, repetitions=3, stocks=200, suffix="_real")
        rows += [*one_stock(whole), *all_stocks(whole)]
        samples |= whole.samples
    return Report(
        name="db",
        command=command,
        seed=SEED,
        rows=rows,
        samples=samples,
        plot="pairs",
        findings=findings,
        settings={
            "stocks": len(bench.columns),
            "prices": bench.columns.prices.rows,
            "samples": bench.columns.labels.rows,
            "repetitions": bench.repetitions,
            "postgresql": postgres.version,
        },
    )


def one_stock(bench: Bench) -> list[Row]:
    """A stock's bars, by each road."""
    codes, settings = bench.codes(bench.stocks, SEED), bench.settings
    batches = bench.codes(_BATCH, SEED + 1)
    found = in_turns(
        [
            Way("naive", ways.naive_prices, (bench.market.naive, ways.ALL_COLUMNS, codes)),
            Way("frames", ways.naive_prices, (bench.market.naive, ways.FEW_COLUMNS, codes)),
            Way("pooled", ways.pooled_prices, (settings, codes)),
            Way("mapped", ways.prices_in_memory, (settings, codes)),
            Way("packs", ways.packed_prices, (settings, codes)),
            Way("columns", ways.columns_of_one, (settings, codes)),
            Way("cache", ways.cached_batch, (settings, batches)),
        ],
        bench.repetitions,
    )
    naive, pooled = found["naive"], found["pooled"]
    few = f"a naive way that takes two columns of nine: {found['frames'].median_ms:.3g} ms"
    return [
        bench.row("price_one_stock", pooled, naive, goal_ratio=15.0, note=f"pooled SQL; {few}"),
        bench.row(
            "price_one_stock_packed",
            found["mapped"],
            naive,
            goal_ratio=45.0,
            note="a slice of the market in memory, after asking the database for its newest commit",
        ),
        bench.row("price_one_stock_pack", found["packs"], naive, note="packs out of the database"),
        bench.row(
            "price_one_stock_columns",
            found["columns"],
            naive,
            note="Store.columns: results, actions, labels and stamps come along",
        ),
        _cached(bench, "batch_from_cache", found),
    ]


def _cached(bench: Bench, metric: str, found: Found) -> Row:
    return Row(
        metric + bench.suffix,
        found["cache"].median_ms,
        "ms",
        found["naive"].median_ms * _BATCH,
        note=f"{_BATCH} stocks by query_with_cache, all asked for before; baseline: {_BATCH} times "
        f"the naive way; pooled SQL would take {found['pooled'].median_ms * _BATCH:.3g} ms",
        cpu_s=found["cache"].cpu,
        peak_mb=found["cache"].peak_mb,
    )


def all_stocks(bench: Bench) -> list[Row]:
    """Every stock's results, and the join."""
    settings, market = bench.settings, bench.market
    codes = [code.decode() for code in bench.columns.codes.tolist()]
    few = bench.codes(bench.stocks // 2, SEED + 2)
    found = in_turns(
        [
            Way("naive", ways.naive_results, (market.naive, few)),
            Way("plain", ways.plain_results, (market.naive, codes)),
            Way("packs", ways.all_results, (settings,)),
            Way("naive_join", ways.naive_join, (market.naive,)),
            Way("table_join", ways.stored_join, (settings,)),
            Way("aggregate", ways.aggregate, (settings,)),
            Way("cached", ways.cached_aggregate, (settings,)),
        ],
        bench.repetitions,
    )
    require_same_join(found, "naive_join", ("table_join",))
    join = found["naive_join"]
    naive_ms = float(np.mean(found["naive"].all_ms)) * len(codes)
    note = (
        f"naive: {len(found['naive'].all_ms)} random stocks, scaled to {len(codes):,}; one query a "
        f"stock over one connection, without pandas: {found['plain'].median_ms:.3g} ms"
    )
    return [
        bench.row(
            "financials_all",
            found["packs"],
            naive_ms,
            goal_ratio=60.0,
            note=f"packs out of the database; {note}",
        ),
        bench.row(
            "aggregate_from_cache",
            found["cached"],
            found["aggregate"].median_ms,
            note="a line for each stock from all of its bars; baseline: the query itself",
        ),
        bench.row(
            "join_100k_sqlite",
            found["table_join"],
            join,
            goal_ratio=7.1,
            note=f"{bench.columns.labels.rows:,} samples out of the table, to arrays",
        ),
    ]


def on_postgres(bench: Bench, postgres: PostgresMarket) -> list[Row]:
    """The join and one stock's bars, from PostgreSQL."""
    settings = postgres.settings
    codes = bench.codes(bench.stocks // 4, SEED + 3)
    batches = bench.codes(_BATCH, SEED + 4)
    found = in_turns(
        [
            Way("naive", ways.naive_prices, (postgres.dsn, ways.ALL_COLUMNS, codes)),
            Way("pooled", ways.pooled_prices, (settings, codes)),
            Way("cache", ways.cached_batch, (settings, batches)),
            Way("naive_join", ways.naive_join, (postgres.dsn,)),
            Way("view_join", ways.stored_join, (settings,)),
        ],
        bench.repetitions,
    )
    require_same_join(found, "naive_join", ("view_join",))
    join = found["naive_join"]
    return [
        bench.row("price_one_stock_postgres", found["pooled"], found["naive"], note="pooled SQL"),
        _cached(bench, "batch_from_cache_postgres", found),
        bench.row(
            "join_100k_postgres",
            found["view_join"],
            join,
            goal_ratio=7.1,
            note=f"{bench.columns.labels.rows:,} samples out of the view, to arrays",
        ),
    ]


def _cache_finding(rows: Sequence[Row]) -> str:
    found = {row.metric: row for row in rows}
    pooled = (found["price_one_stock"].value or 0.0) * _BATCH
    cached, dear = found["batch_from_cache"].value, found["aggregate_from_cache"]
    return (
        f"The query cache is for dear queries ({dear.ratio:,.0f}x for an aggregate over all bars). "
        f"The bars of {_BATCH} stocks take {cached:.3g} ms out of it and {pooled:.3g} ms as pooled "
        "SQL: that a value is of the newest commit is asked for each time."
    )


def require_same_join(found: Found, baseline: str, names: Sequence[str]) -> None:
    """Raises AssertionError if a way has joined other rows than the naive one."""
    expected = found[baseline].times[0].result
    for name in names:
        result = found[name].times[0].result
        for column, values in expected.items():
            same = np.array_equal(
                np.asarray(result[column], np.float64), values.astype(np.float64), equal_nan=True
            )
            if not same:
                raise AssertionError(f"{name} gives another {column} than {baseline}.")


def _bench(market: BenchMarket, *, repetitions: int, stocks: int, suffix: str = "") -> Bench:
    columns = read_columns(market.database)
    return Bench(market, bench_settings(market), columns, repetitions, stocks, suffix)
