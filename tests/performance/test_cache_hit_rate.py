"""Hits and misses of the cache benchmark, in small: without a server of models, with a real Redis.

In full: `python -m tests.performance cache`.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from gateway.cache.cache_manager import CacheManager
from gateway.cache.features.cached_rows import CachedRows
from gateway.cache.plan import Plan
from preprocess.serving.service import FeatureService
from preprocess.settings import Settings, load_settings
from preprocess.store.sqlite.store import SQLiteStore
from tests.performance.arrivals import arriving
from tests.performance.cache_ways import ROADS, Road, feature_rows
from tests.performance.feature_ways import Pair, fresh_pairs
from tests.performance.market import read_columns
from tests.performance.measure import Way, in_turns
from tests.performance.mix import Mix
from tests.redis import running_redis


@pytest.fixture
def market(demo_database: Path, tmp_path: Path) -> Settings:
    """A market of its own."""
    path = tmp_path / "market.db"
    shutil.copy(demo_database, path)
    return load_settings(data_dir=tmp_path, database_url=f"sqlite:///{path}")


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with running_redis(tmp_path) as server:
        yield server.url


def past_pairs(market: Settings, count: int) -> list[list[Pair]]:
    """Two chunks of pairs that are not of the newest day, whose rows lie ready."""
    chunks = fresh_pairs(read_columns(market.database_path), 3 * count, 2, seed=5)
    newest = max(day for chunk in chunks for _, day in chunk)
    return [[pair for pair in chunk if pair[1] < newest][:count] for chunk in chunks]


def test_two_features_models_hold_most_rows_of_the_mix(market: Settings, redis_url: str) -> None:
    """Prices arrive meanwhile, and every answer is that of a model without a cache."""
    codes = [code.decode() for code in read_columns(market.database_path).codes]
    mix = Mix(codes, "2026-08-12", seed=3)

    def opened() -> SQLiteStore:
        return SQLiteStore(market.database_path)

    caches = [CacheManager(Plan(redis_url=redis_url, timeout_s=1.0)) for _ in range(2)]
    models = [FeatureService(opened, cached=CachedRows(cache, ttl_s=60)) for cache in caches]
    requests = mix.requests(100_000)
    number = 0
    with arriving(market, mix, every_s=0.05, stocks=2) as arrivals:
        while number < 500 or arrivals.commits < 3:
            items = msgspec.json.decode(next(requests)[1])
            items = items.get("predictions", [items])
            models[number % 2].rows(
                [item["bse_code"].encode() for item in items],
                [item["prediction_date"].encode() for item in items],
            )
            number += 1
    everything = [code.encode() for code in codes], [mix.day.encode()] * len(codes)
    with closing(FeatureService(opened)) as plain:
        expected = plain.rows(*everything).values.tobytes()
    for model in models:
        assert model.rows(*everything).values.tobytes() == expected
    assert all(cache.get_hit_rate("features") >= 0.6 for cache in caches)
    for model in models:
        model.close()


@pytest.mark.serial
@pytest.mark.parametrize("road", ROADS)
def test_every_road_is_the_one_it_says(market: Settings, redis_url: str, road: Road) -> None:
    arguments = (market, road, redis_url, past_pairs(market, 20))
    measured = in_turns([Way(road, feature_rows, arguments)], 1)[road]
    assert len(measured.all_ms) == 20
    assert min(measured.all_ms) > 0.0


def test_what_comes_by_another_road_is_no_figure(market: Settings, redis_url: str) -> None:
    (pairs, _) = past_pairs(market, 10)
    arguments = (market, "miss", redis_url, [pairs, pairs])
    with pytest.raises(RuntimeError, match=r"miss: \d+ rows came out of the cache"):
        in_turns([Way("twice", feature_rows, arguments)], 1)
