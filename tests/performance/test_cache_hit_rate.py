"""The cache benchmark in small: a feature row computed, cached and missed, with a real Redis.

In full: `python -m tests.performance cache`.
"""

from pathlib import Path

import pytest

from preprocess.settings import load_settings
from tests.performance.cache_ways import ROADS, feature_rows
from tests.performance.market import read_columns
from tests.performance.measure import Way, in_turns
from tests.performance.pairs import PastPairs
from tests.redis import running_redis


def test_every_road_is_the_one_it_says(demo_database: Path, tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, database_url=f"sqlite:///{demo_database}")
    pairs = PastPairs(read_columns(demo_database), seed=5)
    chunks = [pairs.take(20), pairs.take(20)]
    with running_redis(tmp_path) as redis:
        databases = [f"{redis.url.removesuffix('0')}{number}" for number in range(len(ROADS))]
        ways = [
            Way(road, feature_rows, (settings, road, url, chunks))
            for road, url in zip(ROADS, databases, strict=True)
        ]
        measured = in_turns(ways, 1)
        assert all(len(measured[road].all_ms) == 20 for road in ROADS)
        repeated = (settings, "miss", databases[0], [chunks[0], chunks[0]])
        with pytest.raises(RuntimeError, match=r"miss: \d+ rows came out of the cache"):
            in_turns([Way("twice", feature_rows, repeated)], 1)
