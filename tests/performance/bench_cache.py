"""`tezi bench cache`: what each tier of the cache is worth, and how often it is asked in vain.

Tiers against computing inside the processes that ask; a gateway over REST with what it holds and
what it does not; and the mix of the goals over the whole market, with several gateways on one
Redis, while prices arrive.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import cycle
from pathlib import Path

import numpy as np
import uvloop

from preprocess.calendar import day_number
from preprocess.features.batch import STATUSES, batch_rows
from preprocess.features.row import Status
from preprocess.settings import Settings, load_settings
from tests.integration.stack import fresh_settings
from tests.performance.cache_mix import (
    COMMIT_EVERY_S,
    COMMIT_STOCKS,
    RATE,
    Found,
    Pace,
    run_mix,
)
from tests.performance.cache_rows import (
    PREDICTIONS_GOAL,
    SIZES,
    Times,
    feature_rows,
    feature_times,
    grid,
    overhead_rows,
    past_pairs,
    prediction_rows,
)
from tests.performance.evening import scored_stack
from tests.performance.feature_context import FULL_SIZE, QUICK_SIZE, Bench
from tests.performance.gateways import gateways
from tests.performance.hit_load import HitLoad, hit_load
from tests.performance.load import Load, rest_load
from tests.performance.market import QUICK, SEED, WHOLE, BenchMarket, generated_market
from tests.performance.measure import one_thread
from tests.performance.mix import Mix
from tests.performance.prediction_ways import ROADS, PredictionRoads
from tests.performance.report import Report
from tests.performance.row import Row
from tests.redis import running_redis

HIT_RATE_GOALS = {"feature": 0.8, "prediction": 0.6}
HITS_GOAL = 12_000.0
_IN_FLIGHT = 16
_POPULAR = 500

FULL_PACE = Pace(faster=4.0, warming_s=45.0, measured_s=60.0, gateways=3)
QUICK_PACE = Pace(faster=2.0, warming_s=2.0, measured_s=4.0, gateways=2)


def run(*, quick: bool, command: str) -> Report:
    """Measure; the first time, the market is made."""
    one_thread()
    home = load_settings().home
    market = generated_market(home, QUICK if quick else WHOLE)
    bench = Bench.of(market, QUICK_SIZE if quick else replace(FULL_SIZE, repetitions=3))
    calls = 60 if quick else 500
    pace = QUICK_PACE if quick else FULL_PACE
    with _redis() as redis_url:
        features = feature_times(bench, redis_url, calls=calls)
        stack = scored_stack(_copied(market, home / "bench" / "cache"), home / "bench" / "cache")
        with gateways(_serving(stack), 1) as alone:
            predictions = _predictions(bench, alone.settings, redis_url, calls)
        missed, held, hits = _over_rest(bench, stack, seconds=1.0 if quick else 8.0)
        mix = Mix(_answerable(bench, bench.days[1]), bench.days[1].isoformat(), SEED)
        found = {
            name: run_mix(
                _serving(
                    stack,
                    redis_url=f"{redis_url}{20 + number}",
                    **pace.settings(cache_features=True, cache_predictions=name == "both"),
                ),
                mix,
                pace,
            )
            for number, name in enumerate(("features alone", "both"))
        }
    rest_ms = {name: load.latencies_ms for name, load in (("miss", missed), ("hit", held))}
    return Report(
        name="cache",
        command=command,
        seed=SEED,
        rows=[
            *_hit_rates(found, pace),
            *feature_rows(features),
            Row(
                "prediction_hit_vs_miss",
                float(np.median(rest_ms["hit"])),
                "ms",
                float(np.median(rest_ms["miss"])),
                goal_ratio=PREDICTIONS_GOAL,
                note="one request at a time over REST: held by the gateway, against not held",
            ),
            *(
                row
                for size in SIZES
                for row in prediction_rows({road: predictions[road, size] for road in ROADS}, size)
            ),
            *overhead_rows(features, predictions),
            *hits.rows(HITS_GOAL),
        ],
        samples={
            "prediction_hit_vs_miss": rest_ms["hit"],
            "REST, not held": rest_ms["miss"],
            **{f"features {road}": list(features[road, 1]) for road, size in features if size == 1},
            **{f"prediction {road}": list(predictions[road, 1]) for road in ROADS},
        },
        grids=[grid(features, predictions)],
        findings=[*_findings(found), *hits.findings()],
        settings={
            "stocks": len(bench.columns),
            "asked_for": len(mix.codes),
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


def _answerable(bench: Bench, day: date) -> list[str]:
    """The stocks that have a history long enough by a day."""
    columns = bench.columns
    days = np.full(len(columns), day_number(day), dtype=np.int32)
    status = batch_rows(columns, np.arange(len(columns)), days).status
    return [code.decode() for code in columns.codes[status == STATUSES.index(Status.OK)]]


def _serving(stack: Settings, **changed: object) -> Settings:
    """The stack's data on free ports."""
    return fresh_settings(stack.home, database_url=stack.database_url, **changed)


def _predictions(bench: Bench, settings: Settings, redis_url: str, calls: int) -> Times:
    found: dict[tuple[str, int], list[float]] = {}
    for database, size in enumerate(SIZES, start=16):
        pairs = past_pairs(bench, calls * size, len(ROADS), SEED + 100 + size)
        mine = {
            road: [chunk[start : start + size] for start in range(0, len(chunk), size)]
            for road, chunk in zip(ROADS, pairs, strict=True)
        }
        measured = uvloop.run(PredictionRoads(settings, f"{redis_url}{database}").measure(mine))
        found |= {(road, size): times for road, times in measured.items()}
    return found


def _over_rest(bench: Bench, stack: Settings, *, seconds: float) -> tuple[Load, Load, HitLoad]:
    """One request at a time, not held and held; 16 in flight, all held."""
    fresh = (pair for chunk in past_pairs(bench, 20_000, 1, SEED + 200) for pair in chunk)
    popular = past_pairs(bench, _POPULAR, 1, SEED + 300)[0]
    with gateways(_serving(stack), 1) as running:
        url = running.urls[0]
        missed = uvloop.run(rest_load(url, fresh, 1, seconds))
        uvloop.run(rest_load(url, iter(cycle(popular)), 4, seconds))  # held from here on
        held = uvloop.run(rest_load(url, cycle(popular), 1, seconds / 2))
        hits = hit_load(running, popular, in_flight=_IN_FLIGHT, seconds=seconds)
    return missed, held, hits


def _hit_rates(found: dict[str, Found], pace: Pace) -> list[Row]:
    alone, both = found["features alone"], found["both"]
    pacing = f"{pace.gateways} gateways on one Redis, at {pace.faster:g} times the pace"
    return [
        Row(
            "feature_hit_rate",
            alone.features.hit_rate,
            "",
            goal=HIT_RATE_GOALS["feature"],
            note=f"predictions not cached; {alone.features}; {pacing}",
        ),
        Row(
            "prediction_hit_rate",
            both.predictions.hit_rate,
            "",
            goal=HIT_RATE_GOALS["prediction"],
            note=f"{both.predictions}; {pacing}",
        ),
        Row(
            "feature_hit_rate_behind_predictions",
            both.features.hit_rate,
            "",
            note=f"predictions cached too; {both.features}",
        ),
    ]


def _findings(found: dict[str, Found]) -> list[str]:
    lines = [
        f"{name}: {run.sent.rate:.0f} requests/s, {run.sent.stocks:,} stocks answered, "
        f"{run.sent.late} requests not within the deadline, "
        f"{run.arrivals.commits} commits of {COMMIT_STOCKS} stocks."
        for name, run in found.items()
    ]
    return [
        *lines,
        f"Imitated is a mix of {RATE:g} requests/s with times to live of 300 s (features), 3600 s "
        f"(predictions) and 60 s (in a process), and a commit every {COMMIT_EVERY_S:g} s whose "
        "stocks are as popular as those asked for; all of one past day.",
        "Behind the cache of predictions, features are asked for when the prediction is not held: "
        "the first time, or after a commit that made both useless, or when an hour is over and "
        "the features' five minutes long so.",
    ]
