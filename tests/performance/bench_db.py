"""`python -m tests.performance db`: one stock's prices, all results, and the join as of each date.

The naive way has plain tables with an index on the key; baseline and product run in turns, each in
a process of its own.
"""

import numpy as np

from preprocess.settings import Settings, load_settings
from tests.performance import db_ways as ways
from tests.performance.bench import FULL_SIZE, QUICK_SIZE, Bench
from tests.performance.market import QUICK, SEED, WHOLE, generated_market
from tests.performance.measure import Way, in_turns, one_thread
from tests.performance.naive import Source
from tests.performance.postgres_market import postgres_market
from tests.performance.report import Report
from tests.performance.row import Row

_BATCH = 100


def run(*, quick: bool, command: str) -> Report:
    """Measure; the first time, the market is made."""
    one_thread()
    market = generated_market(load_settings().home, QUICK if quick else WHOLE)
    bench = Bench.of(market, QUICK_SIZE if quick else FULL_SIZE)
    rows = [*one_stock(bench), financials(bench)]
    rows.append(join(bench, "join_100k_sqlite", market.naive, bench.settings))
    with postgres_market(market) as postgres:
        rows.append(join(bench, "join_100k_postgres", postgres.dsn, postgres.settings))
    return Report(
        name="db",
        command=command,
        seed=SEED,
        rows=rows,
        samples=bench.samples,
        plot="pairs",
        settings={
            "stocks": len(bench.columns),
            "prices": bench.columns.prices.rows,
            "samples": bench.columns.labels.rows,
            "repetitions": bench.size.repetitions,
            "postgresql": postgres.version,
        },
    )


def one_stock(bench: Bench) -> list[Row]:
    """A stock's prices as SQL, from the packs, and for many stocks out of the query cache."""
    codes, settings = bench.codes(bench.size.one_stock, SEED), bench.settings
    batches = bench.codes(_BATCH, SEED + 1)
    found = in_turns(
        [
            Way("naive", ways.naive_prices, (bench.market.naive, codes)),
            Way("pooled", ways.pooled_prices, (settings, codes)),
            Way("packed", ways.packed_prices, (settings, codes)),
            Way("cache", ways.cached_batch, (settings, batches)),
        ],
        bench.size.repetitions,
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
            note=f"{_BATCH} stocks by query_with_cache, all cached; pooled SQL would "
            f"take {found['pooled'].median_ms * _BATCH:.3g} ms",
        ),
    ]


def financials(bench: Bench) -> Row:
    """Every stock's results."""
    few = bench.codes(bench.size.one_stock // 2, SEED + 2)
    found = in_turns(
        [
            Way("naive", ways.naive_results, (bench.market.naive, few)),
            Way("packs", ways.all_results, (bench.settings,)),
        ],
        bench.size.repetitions,
    )
    naive = found["naive"]
    return bench.row(
        "financials_all",
        found["packs"],
        bench.scaled_ms(naive),
        goal_ratio=60.0,
        note=f"one pass over the packs; naive: {len(naive.all_ms)} random stocks, scaled",
    )


def join(bench: Bench, metric: str, source: Source, settings: Settings) -> Row:
    """Price, results and label of every sample; the naive way from `source`.

    Raises:
        AssertionError: the naive way gives other rows.
    """
    found = in_turns(
        [
            Way("naive", ways.naive_join, (source,)),
            Way("join", ways.product_join, (settings,)),
        ],
        bench.size.repetitions,
    )
    expected, result = (found[name].times[0].result for name in ("naive", "join"))
    for column, values in expected.items():
        if not np.array_equal(result[column], values.astype(np.float64), equal_nan=True):
            raise AssertionError(f"{metric}: another {column} than the naive way's.")
    return bench.row(
        metric,
        found["join"],
        found["naive"].median_ms,
        goal_ratio=60.0,
        note=f"{bench.columns.labels.rows:,} samples, every one compared; precomputed join",
    )
