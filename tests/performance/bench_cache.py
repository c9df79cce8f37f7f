"""`python -m tests.performance cache`: what a hit saves, what a miss costs, how many there are.

Hits against misses inside the processes that use the cache; one gateway over REST; and the mix of
the goals over the whole market, with several gateways on one Redis, while prices arrive.

A time to live of an hour does not fit into a benchmark. What a cache holds depends on how often
a key is asked for within its time to live, so both are changed by one factor: requests come so
many times faster, and times to live and the pauses between commits are so many times shorter.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import numpy as np
import uvloop

from preprocess.features.batch import STATUSES, batch_rows
from preprocess.features.row import Status
from preprocess.market.calendar import day_number
from preprocess.settings import Settings, load_settings
from tests.integration.stack import fresh_settings
from tests.performance import cache_ways as ways
from tests.performance.arrivals import arriving
from tests.performance.bench import FULL_SIZE, QUICK_SIZE, Bench
from tests.performance.cache_ways import ROADS, Road
from tests.performance.evening import scored_stack
from tests.performance.feature_ways import Pair, fresh_pairs
from tests.performance.gateways import Counts, gateways
from tests.performance.load import Load, rest_load
from tests.performance.market import QUICK, SEED, WHOLE, BenchMarket, generated_market
from tests.performance.measure import Way, in_turns, one_thread
from tests.performance.mix import Mix, send
from tests.performance.report import Report
from tests.performance.report_grid import Grid
from tests.performance.report_text import figure
from tests.performance.row import Row
from tests.redis import running_redis

# What is imitated: the mix's rate in the goals, and the times to live that Tezi ships.
RATE, FEATURES_S, PREDICTIONS_S, LOCAL_S = 100.0, 300.0, 3600.0, 60.0
COMMIT_EVERY_S, COMMIT_STOCKS = 4.0, 20
_IN_FLIGHT = 16
_POPULAR = 500

Times = Mapping[Road, Sequence[float]]
"""ms of each call by road."""


@dataclass(frozen=True)
class Pace:
    """How many times faster than what is imitated, for how many seconds, to how many gateways."""

    faster: float
    warming_s: float
    measured_s: float
    gateways: int


FULL_PACE = Pace(faster=4.0, warming_s=45.0, measured_s=60.0, gateways=3)
QUICK_PACE = Pace(faster=2.0, warming_s=2.0, measured_s=4.0, gateways=2)


def run(*, quick: bool, command: str) -> Report:
    """Measure; the first time, the market is made."""
    one_thread()
    home = load_settings().home
    market = generated_market(home, QUICK if quick else WHOLE)
    bench = Bench.of(market, QUICK_SIZE if quick else replace(FULL_SIZE, repetitions=3))
    calls, pace = (60, QUICK_PACE) if quick else (500, FULL_PACE)
    seconds = 1.0 if quick else 8.0
    with _redis() as redis_url:
        features = _features(bench, redis_url, calls)
        stack = scored_stack(_copied(market, home / "bench" / "cache"), home / "bench" / "cache")
        with gateways(_serving(stack)) as running:
            predictions = _predictions(bench, running.settings, f"{redis_url}16", calls)
            missed, held, hits = _over_rest(bench, running.urls[0], seconds)
        mix = Mix(_answerable(bench), bench.days[1].isoformat(), SEED)
        feature_counts, _ = _counted(stack, f"{redis_url}20", mix, pace, predictions=False)
        _, prediction_counts = _counted(stack, f"{redis_url}21", mix, pace, predictions=True)
    pacing = f"{pace.gateways} gateways on one Redis, at {pace.faster:g} times the pace"
    computed, miss = _median(predictions["computed"]), _median(predictions["miss"])
    return Report(
        name="cache",
        command=command,
        seed=SEED,
        rows=[
            Row(
                "feature_hit_rate",
                feature_counts.hit_rate,
                "",
                goal=0.8,
                note=f"predictions not cached; {feature_counts}; {pacing}",
            ),
            Row(
                "prediction_hit_rate",
                prediction_counts.hit_rate,
                "",
                goal=0.6,
                note=f"{prediction_counts}; {pacing}",
            ),
            Row(
                "feature_hit_vs_miss",
                _median(features["local"]),
                "ms",
                _median(features["computed"]),
                goal_ratio=17.0,
                note="one row of a past day inside the features model, against computing it",
            ),
            Row(
                "prediction_hit_vs_miss",
                _median(held.latencies_ms),
                "ms",
                _median(missed.latencies_ms),
                goal_ratio=9.0,
                note="one request at a time over REST: in the gateway's memory, against not",
            ),
            Row(
                "ask_overhead",
                max(miss - computed, 0.0),
                "ms",
                note="a prediction missed in both tiers and written, less computing it: "
                f"{miss:.3g} less {computed:.3g} ms",
            ),
            Row(
                "hits_per_second",
                hits.rate,
                "/s",
                goal=12_000.0,
                note=f"one gateway, {_IN_FLIGHT} in flight, all in its memory",
            ),
        ],
        samples={
            "prediction_hit_vs_miss": held.latencies_ms,
            "REST, not held": missed.latencies_ms,
        },
        grids=[_hits_against_misses(features, predictions)],
        settings={
            "stocks": len(bench.columns),
            "gateways": pace.gateways,
            "faster": pace.faster,
            "warming_s": pace.warming_s,
            "measured_s": pace.measured_s,
            "zipf_exponent": mix.exponent,
        },
    )


@contextmanager
def _redis() -> Iterator[str]:
    """The address of a Redis with the shipped configuration, but for the database's number."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_redis(Path(folder), "--databases", "32") as server,
    ):
        yield server.url.removesuffix("0")


def _copied(market: BenchMarket, folder: Path) -> BenchMarket:
    """A copy of the market's database, in which prices may arrive."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / "arrivals.db"
    for leftover in folder.glob("arrivals.db*"):
        leftover.unlink()
    shutil.copy(market.database, copy)
    return replace(market, database=copy)


def _serving(stack: Settings, **changed: object) -> Settings:
    """The stack's data on free ports."""
    return fresh_settings(stack.home, database_url=stack.database_url, **changed)


def _past_pairs(bench: Bench, count: int, repetitions: int, seed: int) -> list[list[Pair]]:
    """Pairs of any day but the newest, whose rows lie ready and are not asked for."""
    newest = bench.days[0].isoformat()
    chunks = fresh_pairs(bench.columns, count + count // 10 + 20, repetitions, seed)
    return [[pair for pair in chunk if pair[1] != newest][:count] for chunk in chunks]


def _features(bench: Bench, redis_url: str, calls: int) -> Times:
    """Every road to a feature row, in turns, each with a database of Redis of its own."""
    chunks = _past_pairs(bench, calls, bench.size.repetitions + 1, SEED)
    found = in_turns(
        [
            Way(road, ways.feature_rows, (bench.settings, road, f"{redis_url}{place}", chunks))
            for place, road in enumerate(ROADS)
        ],
        bench.size.repetitions,
    )
    return {road: found[road].all_ms for road in ROADS}


def _predictions(bench: Bench, settings: Settings, redis_url: str, calls: int) -> Times:
    """Every road to a prediction."""
    chunks = _past_pairs(bench, calls, len(ROADS), SEED + 100)
    pairs = dict(zip(ROADS, chunks, strict=True))
    return uvloop.run(ways.prediction_times(settings, redis_url, pairs))


def _over_rest(bench: Bench, url: str, seconds: float) -> tuple[Load, Load, Load]:
    """One request at a time, missed and hit; 16 in flight, all hit."""
    fresh = iter(_past_pairs(bench, 20_000, 1, SEED + 200)[0])
    popular = _past_pairs(bench, _POPULAR, 1, SEED + 300)[0]
    missed = uvloop.run(rest_load(url, fresh, 1, seconds))
    filling = uvloop.run(rest_load(url, cycle(popular), 4, seconds))
    popular = popular[: len(filling.latencies_ms)]  # these are in the gateway's memory now
    held = uvloop.run(rest_load(url, cycle(popular), 1, seconds / 2))
    hits = uvloop.run(rest_load(url, cycle(popular), _IN_FLIGHT, seconds))
    return missed, held, hits


def _answerable(bench: Bench) -> list[str]:
    """The stocks that have a history long enough by the day of the mix."""
    columns = bench.columns
    days = np.full(len(columns), day_number(bench.days[1]), dtype=np.int32)
    status = batch_rows(columns, np.arange(len(columns)), days).status
    return [code.decode() for code in columns.codes[status == STATUSES.index(Status.OK)]]


def _counted(
    stack: Settings, redis_url: str, mix: Mix, pace: Pace, *, predictions: bool
) -> tuple[Counts, Counts]:
    """What the caches of features and of predictions counted of the mix, once they were warm."""
    settings = _serving(
        stack,
        gateways=pace.gateways,
        redis_url=redis_url,
        cache_features=True,
        cache_predictions=predictions,
        cache_features_ttl_s=FEATURES_S / pace.faster,
        cache_predictions_ttl_s=PREDICTIONS_S / pace.faster,
        cache_local_ttl_s=LOCAL_S / pace.faster,
    )
    rate = RATE * pace.faster
    requests = mix.requests(int(rate * (pace.warming_s + pace.measured_s)) + 1)
    every_s = COMMIT_EVERY_S / pace.faster
    with (
        gateways(settings) as running,
        arriving(settings, mix, every_s=every_s, stocks=COMMIT_STOCKS),
    ):
        asyncio.run(send(running.urls, requests, rate=rate, seconds=pace.warming_s))
        before = running.features(), running.predictions()
        asyncio.run(send(running.urls, requests, rate=rate, seconds=pace.measured_s))
        return running.features() - before[0], running.predictions() - before[1]


def _hits_against_misses(features: Times, predictions: Times) -> Grid:
    return Grid(
        "Hits against misses, median in ms",
        ["", "feature row", "prediction"],
        [
            [meaning, figure(_median(features[road])), figure(_median(predictions[road]))]
            for road, meaning in ROADS.items()
        ],
    )


def _median(times_ms: Sequence[float]) -> float:
    return float(np.median(times_ms))
