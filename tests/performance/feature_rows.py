"""Rows of `tezi bench features`: one stock, the on-line road, the whole market, its steps."""

import numpy as np

from tests.performance import feature_ways as ways
from tests.performance.feature_context import Bench, equality_row
from tests.performance.fresh_process import batch_memory, measure_compiling
from tests.performance.market import SEED
from tests.performance.measure import Way, in_turns
from tests.performance.postgres_market import postgres_market
from tests.performance.row import Row


def one_stock(bench: Bench) -> list[Row]:
    """Indicators and results in memory, and all 25 features from the database."""
    pairs = ways.newest_pairs(bench.columns, bench.size.indicators, bench.days, SEED + 1)
    market, settings = bench.market, bench.settings
    found = in_turns(
        [
            Way("pandas_rsi", ways.pandas_indicator, (settings, "rsi", pairs)),
            Way("rsi", ways.indicator, (settings, "rsi", pairs)),
            Way("pandas_macd", ways.pandas_indicator, (settings, "macd", pairs)),
            Way("macd", ways.indicator, (settings, "macd", pairs)),
            Way("pandas_financial", ways.pandas_financials, (market.naive, pairs)),
            Way("financial", ways.financials, (settings, pairs)),
            Way("naive", ways.naive_rows, (market.naive, bench.few_naive)),
            Way("all", ways.one_stock, (settings, pairs)),
        ],
        bench.size.repetitions,
    )
    return [
        bench.row(
            f"{name}_one_stock", found[name], found[f"pandas_{name}"], goal_ratio=goal, note=note
        )
        for name, goal, note in (
            ("rsi", 100.0, "the series of one stock, in memory"),
            ("macd", 40.0, "the three series of one stock, in memory"),
            ("financial", None, "six features of results in memory"),
        )
    ] + [bench.row("all_one_stock", found["all"], found["naive"], note="from the database")]


def on_line(bench: Bench) -> list[Row]:
    """What Triton's Python model asks for: rows of the newest day, and of any past day."""
    size = bench.size
    newest = [bench.days[0]] * size.repetitions
    lookups = ways.newest_pairs(bench.columns, size.on_line, newest, SEED + 2)
    past = ways.fresh_pairs(bench.columns, size.on_line, size.repetitions, SEED + 3)
    found = in_turns(
        [
            Way("naive", ways.naive_rows, (bench.market.naive, bench.few_naive)),
            Way("lookup", ways.on_line, (bench.settings, lookups)),
            Way("past_date", ways.on_line, (bench.settings, past)),
        ],
        size.repetitions,
    )
    rows = []
    for name, goal in (("lookup", 0.1), ("past_date", 1.0)):
        measured = found[name]
        bench.samples[f"online_{name}_p99"] = measured.all_ms
        rows.append(
            Row(
                f"online_{name}_p99",
                measured.quantile_ms(99),
                "ms",
                found["naive"].quantile_ms(99),
                goal,
                "p99 of FeatureService.rows, one pair a call",
                cpu_s=measured.cpu,
                peak_mb=measured.peak_mb,
            )
        )
    return rows


def batches(bench: Bench) -> list[Row]:
    """Every stock as of a day."""
    settings, days = bench.settings, bench.days
    found = in_turns(
        [
            Way("naive", ways.naive_rows, (bench.market.naive, bench.chunks)),
            Way("live", ways.batch, (settings, days)),
            Way("again", ways.batch_again, (settings, days)),
        ],
        bench.size.repetitions,
    )
    naive, live = found["naive"], found["live"]
    naive_s = bench.scaled(naive)
    note = f"naive: {len(naive.all_ms):,} random stocks, scaled to {len(bench.columns):,}"
    places = bench.columns.places
    parts = [
        (product.result[[places[code.encode()] for code, _ in chunk]], plain.result)
        for chunk, product, plain in zip(bench.chunks, live.times, naive.times, strict=True)
    ]
    return [
        bench.batch_row("batch_live_sqlite", live, naive_s, goal=2.0, goal_ratio=100.0, note=note),
        _postgres_row(bench, naive_s),
        bench.batch_row(
            "batch_in_memory", found["again"], naive_s, note="a second call of one FeatureOptimizer"
        ),
        _memory_row(bench, naive.peak_mb),
        equality_row("equality_max_rel", parts),
    ]


def _postgres_row(bench: Bench, naive_sqlite_s: float) -> Row:
    chunks = [chunk[: bench.size.naive_postgres] for chunk in bench.chunks]
    with postgres_market(bench.market) as postgres:
        bench.postgres_version = postgres.version
        found = in_turns(
            [
                Way("naive", ways.naive_rows, (postgres.dsn, chunks)),
                Way("live", ways.batch, (postgres.settings, bench.days)),
            ],
            bench.size.repetitions,
        )
    naive, live = found["naive"], found["live"]
    note = (
        f"naive: {len(naive.all_ms):,} random stocks in PostgreSQL, scaled "
        f"(the naive way in SQLite would make it {naive_sqlite_s * 1e3 / live.median_ms:,.0f}x)"
    )
    return bench.batch_row(
        "batch_live_postgres", live, bench.scaled(naive), goal_ratio=100.0, note=note
    )


def _memory_row(bench: Bench, naive_mb: float) -> Row:
    live = batch_memory(bench.settings, bench.days[0])
    return Row(
        "batch_peak_memory",
        live.peak_mb,
        "MB",
        goal=500.0,
        note=f"a process of its own; {live.mapped_mb:.0f} MB of it are pages of files (the "
        f"database, shared libraries); the naive way, which holds one stock: {naive_mb:.0f} MB",
    )


def steps(bench: Bench) -> list[Row]:
    """Where a batch's time goes, and what compiled code costs a new process."""
    found = in_turns(
        [Way("steps", ways.steps, (bench.settings, bench.days))],
        bench.size.repetitions,
    )["steps"]
    taken = {
        name: float(np.median([times.result[name] for times in found.times])) * 1e3
        for name in found.times[0].result
    }
    rows = [
        Row("batch_step_load", taken["load"], "ms", note="packs of the database to arrays"),
        Row(
            "batch_step_kernel",
            taken["kernel"],
            "ms",
            taken["talib"],
            note="all 25 features; baseline: RSI, MACD and bands alone, by TA-Lib over slices",
        ),
        Row("batch_step_frame", taken["frame"], "ms", note="the data frame"),
    ]
    if bench.size.compiling:
        compiling = measure_compiling()
        once, each = "once on a machine; in no other row", "each new process; in no other row"
        rows.append(Row("jit_compile", compiling.first_s, "s", note=once))
        rows.append(Row("jit_load", compiling.from_cache_s, "s", note=each))
    return rows
