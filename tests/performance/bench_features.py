"""`python -m tests.performance features`: the served features against pandas.

Baseline and product run in turns, each in a process of its own. The naive batch is measured on a
fixed random sample of the stocks and scaled to all of them; its rows are compared with the
product's.
"""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np

from preprocess.settings import Settings, load_settings
from tests.integration.stack import environment
from tests.paths import PROJECT_ROOT
from tests.performance import feature_ways as ways
from tests.performance.bench import FULL_SIZE, QUICK_SIZE, Bench
from tests.performance.evening import model_file, naive_scores, predict_all, scored_stack
from tests.performance.market import QUICK, SEED, WHOLE, generated_market
from tests.performance.measure import Way, in_turns, one_thread
from tests.performance.naive import distance
from tests.performance.pairs import chunks_by_day, random_chunks
from tests.performance.postgres_market import postgres_market
from tests.performance.report import Report
from tests.performance.row import Row

# Imports what a program would that wants the features, and nothing of the benchmark.
_BATCH = """
import json, sys
from datetime import date
from pathlib import Path
from preprocess.feature_optimizer import FeatureOptimizer
from preprocess.settings import load_settings
from preprocess.store import open_store

day = date.fromisoformat(sys.argv[1])
frame = FeatureOptimizer(open_store(load_settings())).batch_extract_features(None, day)
lines = Path("/proc/self/status").read_text().splitlines()
sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith("kB")}
print(json.dumps([int(sizes[name]) * 1024 / 1e6 for name in ("VmHWM", "RssFile")]))
"""


def run(*, quick: bool, command: str) -> Report:
    """Measure; the first time, the market is made."""
    one_thread()
    ways.warm_up()  # the processes of all ways are forked from this one
    home = load_settings().home
    market = generated_market(home, QUICK if quick else WHOLE)
    bench = Bench.of(market, QUICK_SIZE if quick else FULL_SIZE)
    rows = [*one_stock(bench), *on_line(bench), *batches(bench)]
    if not quick:
        rows.append(predictions(bench, home / "bench" / "stack"))
    return Report(
        name="features",
        command=command,
        seed=SEED,
        rows=rows,
        samples=bench.samples,
        plot="pairs",
        findings=["--quick leaves out predict_all_11000."] if quick else [],
        settings={
            "stocks": len(bench.columns),
            "prices": bench.columns.prices.rows,
            "repetitions": bench.size.repetitions,
        },
    )


def one_stock(bench: Bench) -> list[Row]:
    """Indicators and results in memory, and all 25 features from the database."""
    pairs = chunks_by_day(bench.columns, bench.size.one_stock, bench.days, SEED + 1)
    market, settings = bench.market, bench.settings
    found = in_turns(
        [
            Way("naive_rsi", ways.pandas_indicator, (settings, "rsi", pairs)),
            Way("rsi", ways.indicator, (settings, "rsi", pairs)),
            Way("naive_macd", ways.pandas_indicator, (settings, "macd", pairs)),
            Way("macd", ways.indicator, (settings, "macd", pairs)),
            Way("naive_financial", ways.pandas_financials, (market.naive, pairs)),
            Way("financial", ways.financials, (settings, pairs)),
            Way("naive_all", ways.naive_rows, (market.naive, bench.few_naive)),
            Way("all", ways.one_stock, (settings, pairs)),
        ],
        bench.size.repetitions,
    )
    return [
        bench.row(
            f"{name}_one_stock",
            found[name],
            found[f"naive_{name}"].median_ms,
            goal_ratio=goal,
            note=note,
        )
        for name, goal, note in (
            ("rsi", 100.0, "the series of one stock, in memory"),
            ("macd", 40.0, "the three series of one stock, in memory"),
            ("financial", None, "six features of results in memory"),
            ("all", None, "from the database"),
        )
    ]


def on_line(bench: Bench) -> list[Row]:
    """What Triton's Python model asks for: rows of the newest day, and of any past day."""
    size = bench.size
    newest = [bench.days[0]] * size.repetitions
    lookups = chunks_by_day(bench.columns, size.on_line, newest, SEED + 2)
    past = random_chunks(bench.columns, size.on_line, size.repetitions, SEED + 3)
    found = in_turns(
        [
            Way("naive", ways.naive_rows, (bench.market.naive, bench.few_naive)),
            Way("lookup", ways.on_line, (bench.settings, lookups)),
            Way("past_date", ways.on_line, (bench.settings, past)),
        ],
        size.repetitions,
    )
    return [
        bench.row(
            f"online_{name}_p99",
            found[name],
            found["naive"].quantile_ms(99),
            value_ms=found[name].quantile_ms(99),
            goal=goal,
            note="p99 of FeatureService.rows, one pair a call",
        )
        for name, goal in (("lookup", 0.1), ("past_date", 1.0))
    ]


def batches(bench: Bench) -> list[Row]:
    """Every stock as of a day, its memory, and whether the rows are those of the naive way."""
    found = in_turns(
        [
            Way("naive", ways.naive_rows, (bench.market.naive, bench.chunks)),
            Way("live", ways.batch, (bench.settings, bench.days)),
        ],
        bench.size.repetitions,
    )
    naive, live = found["naive"], found["live"]
    peak_mb, mapped_mb = _batch_memory(bench.settings, bench.days[0])
    places = bench.columns.index_by_code
    rows = [
        product.result[[places[code.encode()] for code, _ in chunk]]
        for chunk, product in zip(bench.chunks, live.times, strict=True)
    ]
    expected = np.vstack([times.result for times in naive.times])
    relative, feature = distance(np.vstack(rows), expected)
    return [
        bench.row(
            "batch_live_sqlite",
            live,
            bench.scaled_ms(naive),
            unit="s",
            goal=2.0,
            goal_ratio=100.0,
            note=f"naive: {len(naive.all_ms):,} random stocks, scaled to {len(bench.columns):,}",
        ),
        _on_postgres(bench),
        Row(
            "batch_peak_memory",
            peak_mb,
            "MB",
            goal=500.0,
            note=f"a process of its own, of which {mapped_mb:.0f} MB are pages of files; the naive "
            f"way, which holds one stock: {naive.peak_mb:.0f} MB",
        ),
        Row(
            "equality_max_rel",
            relative,
            "relative",
            goal=1e-9,
            note=f"{len(expected):,} random rows against the naive way; most in {feature}",
        ),
    ]


def _on_postgres(bench: Bench) -> Row:
    chunks = [chunk[: bench.size.naive_postgres] for chunk in bench.chunks]
    with postgres_market(bench.market) as postgres:
        found = in_turns(
            [
                Way("naive", ways.naive_rows, (postgres.dsn, chunks)),
                Way("live", ways.batch, (postgres.settings, bench.days)),
            ],
            bench.size.repetitions,
        )
    naive, live = found["naive"], found["live"]
    return bench.row(
        "batch_live_postgres",
        live,
        bench.scaled_ms(naive),
        unit="s",
        goal_ratio=100.0,
        note=f"PostgreSQL {postgres.version}; naive: {len(naive.all_ms):,} random stocks, scaled",
    )


def predictions(bench: Bench, home: Path) -> Row:
    """`tezi predict-all` for the whole market, with a stack in `home`."""
    stack = scored_stack(bench.market, home)
    arguments = (bench.market.naive, model_file(stack), bench.few_naive)
    naive = in_turns([Way("naive", naive_scores, arguments)], bench.size.repetitions)["naive"]
    seconds, stored = predict_all(stack, bench.days[:3])
    return Row(
        "predict_all_11000",
        float(np.median(seconds)),
        "s",
        bench.scaled_ms(naive) / 1e3,
        3.0,
        f"the whole command; {stored:,} stored; naive: {len(naive.all_ms)} random stocks, scaled",
    )


def _batch_memory(settings: Settings, day: date) -> tuple[float, float]:
    """MB of a process that computes one batch: the most it had, and the pages of files in it."""
    done = subprocess.run(
        [sys.executable, "-c", _BATCH, day.isoformat()],
        env=environment(settings, covered=False),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"The process whose memory was to be measured failed:\n{done.stderr}")
    peak_mb, mapped_mb = json.loads(done.stdout)
    return peak_mb, mapped_mb
