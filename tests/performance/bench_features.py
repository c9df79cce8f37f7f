"""`tezi bench features`: the served features against pandas, one stock at a time and the market.

Baseline and product run in turns, each in a process of its own. The naive batch is measured on a
fixed random sample of the stocks and scaled to all of them; its rows are compared with the
product's.
"""

from preprocess.settings import load_settings
from tests.performance import feature_ways as ways
from tests.performance.evening import evening_row
from tests.performance.feature_context import FULL_SIZE, QUICK_SIZE, Bench, equality_row
from tests.performance.feature_rows import batches, on_line, one_stock, steps
from tests.performance.market import QUICK, SEED, WHOLE, BenchMarket, generated_market, real_market
from tests.performance.measure import Way, in_turns
from tests.performance.report import Report
from tests.performance.row import Row
from tests.performance.side_rows import groups, static
from tests.performance.threads import one_thread


def run(*, quick: bool, command: str) -> Report:
    """Measure; the first time, the generated market is made."""
    one_thread()
    ways.warm_up()  # the processes of all ways are forked from this one
    home = load_settings().home
    market = generated_market(home, QUICK if quick else WHOLE)
    bench = Bench.of(market, QUICK_SIZE if quick else FULL_SIZE)
    rows = [
        *one_stock(bench),
        *on_line(bench),
        *batches(bench),
        *steps(bench),
        *groups(bench),
        *static(bench),
    ]
    if quick:
        bench.findings.append(
            "--quick leaves out predict_all_11000, jit_* and the real market data."
        )
    else:
        rows.append(evening_row(bench, home / "bench" / "stack"))
        real = real_market(home)
        if real is None:
            bench.findings.append(
                "The real market data (../shared/market-data) are private and not here: its rows "
                "are left out."
            )
        else:
            rows += real_rows(real)
    return Report(
        name="features",
        command=command,
        seed=SEED,
        rows=rows,
        samples=bench.samples,
        plot="pairs",
        findings=bench.findings,
        settings={
            "stocks": len(bench.columns),
            "prices": bench.columns.prices.rows,
            "repetitions": bench.size.repetitions,
            "postgresql": bench.postgres_version,
        },
    )


def real_rows(market: BenchMarket) -> list[Row]:
    """The whole real market, and 1,000 pairs of any stock and day against the naive way."""
    real = Bench.of(market, FULL_SIZE)
    size, days, settings = real.size, real.days, real.settings
    pairs = ways.fresh_pairs(real.columns, size.naive, size.repetitions, SEED + 4)
    newest = ways.newest_pairs(real.columns, size.naive // 4, days, SEED + 5)
    found = in_turns(
        [
            Way("naive_pairs", ways.naive_rows, (market.naive, pairs)),
            Way("pairs", ways.any_pairs, (settings, pairs)),
            Way("naive", ways.naive_rows, (market.naive, newest)),
            Way("live", ways.batch, (settings, days)),
        ],
        size.repetitions,
    )
    naive_s = real.scaled(found["naive"])
    note = (
        f"real data: {len(real.columns):,} stocks, {real.columns.prices.rows:,} prices; naive: "
        f"{len(found['naive'].all_ms)} of them, scaled"
    )
    both = zip(found["pairs"].times, found["naive_pairs"].times, strict=True)
    return [
        real.batch_row("batch_live_sqlite_real", found["live"], naive_s, note=note),
        equality_row(
            "equality_max_rel_real", [(mine.result, naive.result) for mine, naive in both]
        ),
    ]
