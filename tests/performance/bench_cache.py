"""`python -m tests.performance cache`: what a hit saves, what a miss costs, how many there are.

Hits against misses inside the processes that use the cache; one gateway over REST; and the mix of
the goals over the whole market, with several gateways on one Redis, while prices arrive.

A time to live of an hour does not fit into a benchmark. What a cache holds depends on how often
a key is requested within its TTL, so both are changed by one factor: requests come so
many times faster, and times to live and the pauses between commits are so many times shorter.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import httpx
import numpy as np
import uvloop

from gateway.api.endpoints.cache import counts
from gateway.cache.statistics import CacheStats
from preprocess.features.batch import STATUSES, batch_rows
from preprocess.features.row import Status
from preprocess.market.calendar import day_number
from preprocess.market.values import Floats
from preprocess.settings import Settings, load_settings
from tests.integration.stack import fresh_settings, running
from tests.performance import cache_ways as ways
from tests.performance.arrivals import arriving
from tests.performance.bench import FULL_SIZE, QUICK_SIZE, Bench
from tests.performance.cache_ways import ROADS, Road
from tests.performance.evening import scored_stack
from tests.performance.load import Load, rest_load
from tests.performance.load_test.campaign import prediction_counts
from tests.performance.load_test.mix import EXPONENT, Call, Mix
from tests.performance.load_test.scenario import constant
from tests.performance.load_test.whole_stack import thresholds
from tests.performance.load_test.worker import Outcome, generate
from tests.performance.market import QUICK, SEED, WHOLE, BenchMarket, generated_market
from tests.performance.measure import Way, in_turns, one_thread
from tests.performance.pairs import Pair, PastPairs
from tests.performance.report import Report
from tests.performance.report_text import Grid, figure
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
        settings = _serving(stack)
        with running(settings, covered=False):
            predictions = _predictions(bench, settings, f"{redis_url}16", calls)
            missed, cached, hits = _over_rest(bench, settings.http_url, seconds)
        mix = Mix(_answerable(bench), SEED)
        cached_rows, _ = _counted(stack, f"{redis_url}20", mix, pace, predictions=False)
        _, cached_predictions = _counted(stack, f"{redis_url}21", mix, pace, predictions=True)
    pacing = f"{pace.gateways} gateways on one Redis, at {pace.faster:g} times the pace"
    computed, miss = _median(predictions["computed"]), _median(predictions["miss"])
    return Report(
        name="cache",
        command=command,
        seed=SEED,
        rows=[
            _hit_rate("feature_hit_rate", cached_rows, 0.8, f"{pacing}; predictions not cached"),
            _hit_rate("prediction_hit_rate", cached_predictions, 0.6, pacing),
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
                _median(cached.latencies_ms),
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
            "prediction_hit_vs_miss": cached.latencies_ms,
            "REST, not cached": missed.latencies_ms,
        },
        grids=[_hits_against_misses(features, predictions)],
        settings={
            "stocks": len(bench.columns),
            "gateways": pace.gateways,
            "faster": pace.faster,
            "warming_s": pace.warming_s,
            "measured_s": pace.measured_s,
            "zipf_exponent": EXPONENT,
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


def _features(bench: Bench, redis_url: str, calls: int) -> Times:
    """Every road to a feature row, in turns, each with a database of Redis of its own."""
    pairs = PastPairs(bench.columns, SEED)
    chunks = [pairs.take(calls) for _ in range(bench.size.repetitions + 1)]
    found = in_turns(
        [
            Way(road, ways.feature_rows, (bench.settings, road, f"{redis_url}{number}", chunks))
            for number, road in enumerate(ROADS)
        ],
        bench.size.repetitions,
    )
    return {road: found[road].all_ms for road in ROADS}


def _predictions(bench: Bench, settings: Settings, redis_url: str, calls: int) -> Times:
    """Every road to a prediction."""
    past = PastPairs(bench.columns, SEED + 100)
    pairs = {road: past.take(calls) for road in ROADS}
    return uvloop.run(ways.prediction_times(settings, redis_url, pairs))


def _over_rest(bench: Bench, url: str, seconds: float) -> tuple[Load, Load, Load]:
    """One request at a time, missed and hit; 16 in flight, all hit."""
    fresh = iter(PastPairs(bench.columns, SEED + 200).take(20_000))
    popular = PastPairs(bench.columns, SEED + 300).take(_POPULAR)
    missed = uvloop.run(rest_load(url, fresh, 1, seconds))
    filling = uvloop.run(rest_load(url, cycle(popular), 4, seconds))
    popular = popular[: len(filling.latencies_ms)]  # these are in the gateway's memory now
    cached = uvloop.run(rest_load(url, cycle(popular), 1, seconds / 2))
    hits = uvloop.run(rest_load(url, cycle(popular), _IN_FLIGHT, seconds))
    return missed, cached, hits


def _answerable(bench: Bench) -> list[Pair]:
    """The stocks with enough history by the day of the mix, which is not the newest."""
    columns, day = bench.columns, bench.days[1]
    days = np.full(len(columns), day_number(day), dtype=np.int32)
    status = batch_rows(columns, np.arange(len(columns)), days).status
    codes = columns.codes[status == STATUSES.index(Status.OK)].astype("U6").tolist()
    return [(code, day.isoformat()) for code in codes]


def _counted(
    stack: Settings, redis_url: str, mix: Mix, pace: Pace, *, predictions: bool
) -> tuple[CacheStats, CacheStats]:
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
    urls = [f"http://127.0.0.1:{port}" for port in settings.gateway_ports]
    calls, rate = mix.calls(), RATE * pace.faster
    every_s = COMMIT_EVERY_S / pace.faster
    with (
        running(settings, covered=False),
        arriving(settings, mix, every_s=every_s, stocks=COMMIT_STOCKS),
    ):
        _send(urls, calls, constant(rate, pace.warming_s))
        before = _counts(settings, urls)
        _send(urls, calls, constant(rate, pace.measured_s))
        features, predicted = zip(before, _counts(settings, urls), strict=True)
        return _gained(*features), _gained(*predicted)


def _send(urls: Sequence[str], calls: Iterator[Call], due_s: Floats) -> None:
    """Send calls to the gateways in turn.

    Raises:
        RuntimeError: a response was wrong. A gateway that is too busy is no fault of its caches.
    """
    sent, known = list(islice(calls, len(due_s))), thresholds(urls[0])

    async def send() -> list[Outcome]:
        loads = [
            generate(url, sent[at :: len(urls)], due_s[at :: len(urls)], known)
            for at, url in enumerate(urls)
        ]
        return await asyncio.gather(*loads)

    failures = {text for outcome in uvloop.run(send()) for text in outcome.failures}
    if wrong := failures - {"status 503", "status 504"}:
        raise RuntimeError(f"wrong responses while caches were counted: {sorted(wrong)}")


def _counts(settings: Settings, urls: Sequence[str]) -> tuple[CacheStats, CacheStats]:
    """Keys looked up since the start: by the features model, and by all gateways together."""
    page = httpx.get(settings.triton_metrics_url, timeout=5.0, trust_env=False)
    return counts(page.text), prediction_counts(urls)


def _gained(before: CacheStats, after: CacheStats) -> CacheStats:
    return CacheStats(
        after.local_hits - before.local_hits,
        after.remote_hits - before.remote_hits,
        after.misses - before.misses,
    )


def _hit_rate(metric: str, stats: CacheStats, goal: float, note: str) -> Row:
    tiers = (
        f"{stats.local_hits:,} in the process, {stats.remote_hits:,} in Redis, "
        f"{stats.misses:,} missed"
    )
    return Row(metric, stats.hit_rate, "", goal=goal, note=f"{tiers}; {note}")


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
