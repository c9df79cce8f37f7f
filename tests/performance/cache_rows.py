"""Rows of `tezi bench cache`: what a tier's answer takes against computing."""

from collections.abc import Mapping, Sequence

import numpy as np

from tests.performance import cache_ways as ways
from tests.performance.feature_context import Bench
from tests.performance.feature_ways import Pair, fresh_pairs, newest_pairs
from tests.performance.market import SEED
from tests.performance.measure import Measured, Way, in_turns
from tests.performance.prediction_ways import Road as PredictionRoad
from tests.performance.report_grid import Grid
from tests.performance.report_text import figure
from tests.performance.row import Row

SIZES = (1, 10)
# What the seed reached of its own, naive computation.
FEATURES_GOAL, PREDICTIONS_GOAL = 17.0, 9.0

_ROADS: Mapping[str, str] = {
    "ready": "ready in memory: the newest day",
    "computed": "computed, nothing asked",
    "local": "held by the process",
    "redis": "held by Redis",
    "local_miss": "the process asked in vain, computed",
    "redis_miss": "both tiers asked in vain, computed, written",
}

Times = Mapping[tuple[str, int], Sequence[float]]
"""ms by road and rows a call."""


def past_pairs(bench: Bench, count: int, repetitions: int, seed: int) -> list[list[Pair]]:
    """Pairs of any day but the newest, whose rows lie ready and are not asked for."""
    newest = bench.days[0].isoformat()
    chunks = fresh_pairs(bench.columns, count + count // 10 + 20, repetitions, seed)
    return [[pair for pair in chunk if pair[1] != newest][:count] for chunk in chunks]


def feature_times(bench: Bench, redis_url: str, *, calls: int) -> Times:
    """Every road to feature rows, in turns, each with a database of Redis of its own."""
    found: dict[tuple[str, int], Measured] = {}
    for size in SIZES:
        repetitions = bench.size.repetitions
        chunks = past_pairs(bench, calls * size, repetitions + 1, SEED + size)
        newest = [bench.days[0]] * (repetitions + 1)
        ready = newest_pairs(bench.columns, calls * size, newest, SEED + size)
        children = in_turns(
            [
                Way(
                    road,
                    ways.feature_rows,
                    (
                        ways.RowWay(bench.settings, road, size, f"{redis_url}{place}"),
                        ready if road == "ready" else chunks,
                    ),
                )
                for place, road in enumerate(ways.ROADS, start=len(ways.ROADS) * SIZES.index(size))
            ],
            repetitions,
        )
        found |= {(road, size): measured for road, measured in children.items()}
    return {name: measured.all_ms for name, measured in found.items()}


def feature_rows(times: Times) -> list[Row]:
    """What holding feature rows is worth."""
    computed, local = _median(times, "computed", 1), _median(times, "local", 1)
    return [
        Row(
            "feature_hit_vs_miss",
            local,
            "ms",
            computed,
            goal_ratio=FEATURES_GOAL,
            note="one row of a past day inside the features model, held by the process, against "
            "computing it from the market in memory; a row of the newest day lies ready anyway",
        ),
        Row(
            "feature_redis_hit_vs_miss",
            _median(times, "redis", 1),
            "ms",
            computed,
            note="the same, held by Redis: asking takes longer than computing",
        ),
        Row(
            "feature_hit_vs_miss_10",
            _median(times, "local", 10),
            "ms",
            _median(times, "computed", 10),
            note="ten rows in one call, held by the process",
        ),
    ]


def prediction_rows(times: Mapping[PredictionRoad, Sequence[float]], size: int) -> list[Row]:
    """What holding predictions is worth inside a gateway."""
    computed = float(np.median(times["computed"]))
    end = "" if size == 1 else f"_{size}"
    return [
        Row(
            f"prediction_{road}_hit{end}",
            float(np.median(times[road])),
            "ms",
            computed,
            note=f"{size} a call inside the gateway, against Triton",
        )
        for road in ("local", "redis")
    ]


def overhead_rows(features: Times, predictions: Times) -> list[Row]:
    """What asking in vain adds to computing."""
    found = []
    for name, times in (("", predictions), ("_features", features)):
        computed, missed = _median(times, "computed", 1), _median(times, "redis_miss", 1)
        found.append(
            Row(
                f"ask_overhead{name}",
                max(missed - computed, 0.0),
                "ms",
                note=f"asked in vain and written, less computing: {missed:.3g} ms less "
                f"{computed:.3g} ms, both tiers, one {'prediction' if not name else 'row'}",
            )
        )
    return found


def grid(features: Times, predictions: Times) -> Grid:
    """Every road, in ms."""
    heads = [f"{kind}, {size} a call" for kind in ("features", "predictions") for size in SIZES]
    rows = [
        [
            meaning,
            *(
                figure(_median(times, road, size)) if (road, size) in times else ""
                for times in (features, predictions)
                for size in SIZES
            ),
        ]
        for road, meaning in _ROADS.items()
    ]
    return Grid("What an answer takes, median in ms", ["road", *heads], rows)


def _median(times: Times, road: str, size: int) -> float:
    return float(np.median(times[road, size]))
