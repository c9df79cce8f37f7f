"""Hit rates and roads of `tezi bench cache`, in small and without a server of models."""

import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
import pytest

from preprocess.cache.plan import Plan
from preprocess.cache_manager import CacheManager
from preprocess.features.cached import CachedRows
from preprocess.features.service import FeatureService
from preprocess.settings import Settings, load_settings
from preprocess.store.sqlite import SQLiteStore
from tests.performance.arrivals import arriving
from tests.performance.cache_ways import ROADS, Road, RowWay, feature_rows
from tests.performance.feature_ways import fresh_pairs
from tests.performance.market import read_columns
from tests.performance.measure import Way, in_turns
from tests.performance.mix import BATCH, Mix
from tests.redis import running_redis

METRICS = {
    "feature_hit_rate",
    "prediction_hit_rate",
    "feature_hit_vs_miss",
    "prediction_hit_vs_miss",
    "ask_overhead",
    "hits_per_second",
}


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


def test_the_mix_is_that_of_the_goals() -> None:
    codes = [f"{number:06d}" for number in range(1_000)]
    mix = Mix(codes, "2026-08-13", seed=1)
    asked: Counter[str] = Counter()
    singles = 0
    for path, body in mix.requests(4_000):
        items = msgspec.json.decode(body)
        if path.endswith("/batch_predict"):
            items = items["predictions"]
            assert len(items) == BATCH
        else:
            items = [items]
            singles += 1
        asked.update(item["bse_code"] for item in items)
    assert singles / 4_000 == pytest.approx(0.7, abs=0.03)
    ranked = mix.by_rank
    assert sorted(ranked) == codes
    total = sum(asked.values())
    for rank in (1, 2, 10):
        assert asked[ranked[rank - 1]] / total == pytest.approx(mix.shares[rank - 1], rel=0.2)
    assert mix.shares[0] / mix.shares[9] == pytest.approx(10.0)
    assert list(mix.requests(20)) == list(islice(mix.requests(20), 20))


def test_two_features_models_hold_most_rows_of_the_mix(market: Settings, redis_url: str) -> None:
    """Prices arrive meanwhile, and every answer is that of a model without a cache."""
    columns = read_columns(market.database_path)
    mix = Mix([code.decode() for code in columns.codes], "2026-08-12", seed=3)

    def opened() -> SQLiteStore:
        return SQLiteStore(market.database_path)

    caches = [CacheManager(Plan(redis_url=redis_url, timeout_s=1.0)) for _ in range(2)]
    models = [FeatureService(opened, cached=CachedRows(cache, ttl_s=60)) for cache in caches]
    plain = FeatureService(opened)
    with arriving(market, mix, every_s=0.05, stocks=2) as arrivals:
        requests = mix.requests(100_000)
        number = 0
        while number < 500 or arrivals.commits < 3:
            items = msgspec.json.decode(next(requests)[1])
            items = items.get("predictions", [items])
            codes = [item["bse_code"].encode() for item in items]
            days = [item["prediction_date"].encode() for item in items]
            found = models[number % 2].rows(codes, days)
            assert found.values.shape == (len(items), 25)
            number += 1
    codes, days = [code.encode() for code in mix.codes], [mix.day.encode()] * len(mix.codes)
    expected = plain.rows(codes, days)
    for model in models:
        assert model.rows(codes, days).values.tobytes() == expected.values.tobytes()
    asked = [cache.core.statistics.of("features") for cache in caches]
    rate = sum(each.local_hits + each.remote_hits for each in asked) / sum(
        each.asked for each in asked
    )
    assert rate >= 0.8
    for model in (*models, plain):
        model.close()


@pytest.mark.parametrize("road", ROADS)
def test_every_road_is_the_one_it_says(market: Settings, redis_url: str, road: Road) -> None:
    columns = read_columns(market.database_path)
    pairs = fresh_pairs(columns, 60, 2, seed=5)
    newest = max(day for chunk in pairs for _, day in chunk)
    chunks = [[pair for pair in chunk if pair[1] < newest][:40] for chunk in pairs]
    way = RowWay(market, road, 4, redis_url)
    measured = in_turns([Way(road, feature_rows, (way, chunks))], 1)[road]
    assert len(measured.all_ms) == 10
    assert min(measured.all_ms) > 0.0


def test_what_comes_by_another_road_is_no_figure(market: Settings, redis_url: str) -> None:
    columns = read_columns(market.database_path)
    pairs = fresh_pairs(columns, 20, 1, seed=5)[0][:10]
    way = RowWay(market, "redis_miss", 1, redis_url)
    with pytest.raises(RuntimeError, match=r"redis_miss: \d+ of 10 rows out of the cache"):
        in_turns([Way("twice", feature_rows, (way, [pairs, pairs]))], 1)
