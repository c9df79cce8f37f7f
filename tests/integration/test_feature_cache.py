"""The features model with its cache in a real Triton, with a real Redis, through a commit."""

import time
from contextlib import closing
from datetime import date
from pathlib import Path

import httpx
import numpy as np
import pytest

from preprocess.market.calendar import from_day_number
from preprocess.market.values import Bar
from preprocess.settings import Settings
from preprocess.store.sqlite.store import SQLiteStore
from tests.integration.clients import triton_grpc
from tests.integration.stack import copied, running
from tests.redis import running_redis

pytestmark = pytest.mark.triton


def last_bar(store: SQLiteStore, code: str) -> tuple[list[date], Bar]:
    """The days of a stock, and its newest bar with the close a tenth lower."""
    history = store.history(code)
    assert history is not None
    prices = history.prices
    low = float(prices.low[-1]) * 0.9
    values = float(prices.open[-1]), float(prices.high[-1]), low, low, int(prices.volume[-1])
    return [from_day_number(day) for day in prices.days.tolist()], Bar(
        code, from_day_number(prices.days[-1]), *values
    )


def features_model(settings: Settings) -> dict[str, float]:
    url = f"{settings.http_url}/api/v1/cache/stats"
    found: dict[str, float] = httpx.get(url, timeout=5.0, trust_env=False).json()["features_model"]
    return found


def test_rows_are_held_counted_and_never_older_than_a_commit(
    demo_market: Settings, tmp_path: Path
) -> None:
    with running_redis(tmp_path) as redis:
        settings = copied(
            demo_market.home,
            tmp_path / "stack",
            cache_features=True,
            redis_url=redis.url,
            warm_cache=False,  # gateways would ask the model as well
        )
        with closing(SQLiteStore(settings.database_path, write=True)) as store:
            code = store.bse_codes()[0]
            newest = last_bar(store, code)[1].day  # perhaps today, and tomorrow is no answer's day
            with store.transaction() as writer:
                for each in store.bse_codes():
                    writer.delete_prices(each, newest, newest)
            days, corrected = last_bar(store, code)
            pairs = [(code, day.isoformat()) for day in days[-6:-1]]
            # A day after the newest price: not ready in memory, and moved by the correction.
            pairs.append((code, date.fromordinal(days[-1].toordinal() + 1).isoformat()))
            with running(settings, covered=False):
                first = triton_grpc(settings, pairs)
                assert set(first["status"].ravel().tolist()) == {b"OK"}
                again = triton_grpc(settings, pairs)
                np.testing.assert_array_equal(again["features"], first["features"])
                with store.transaction() as writer:
                    writer.put_prices([corrected])
                after = triton_grpc(settings, pairs)
                np.testing.assert_array_equal(after["features"][:5], first["features"][:5])
                assert not np.array_equal(
                    after["features"][5], first["features"][5], equal_nan=True
                )
                end = time.monotonic() + 10
                # The model tells Triton once a second; golden rows make it speak.
                while features_model(settings)["asked"] < 18 and time.monotonic() < end:
                    time.sleep(0.1)
                found = features_model(settings)
                page = httpx.get(settings.triton_metrics_url, trust_env=False).text
    assert 'cache_hit_rate_percent{cache="features"} 33.3' in page
    assert (found["asked"], found["local_hits"], found["misses"]) == (18, 6, 12)
