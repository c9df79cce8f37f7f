"""Clearing the cache, and what it says of itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.fakes import ADMIN_TOKEN, AUTHORIZED, Running, item, running_app, until
from tests.redis import RedisServer, running_redis


@pytest.fixture
async def tezi(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_app(tmp_path, cache_predictions=True, admin_token=ADMIN_TOKEN) as running:
        yield running


async def clear(tezi: Running, query: str = "") -> dict[str, object]:
    response = await tezi.client.post(f"/api/v1/cache/clear{query}", headers=AUTHORIZED)
    assert response.status_code == 200, response.text
    found: dict[str, object] = response.json()
    return found


@pytest.mark.parametrize(
    ("query", "dropped", "held"),
    [
        ("", 2, [False, False]),
        ("?type=all", 2, [False, False]),
        ("?type=predictions", 2, [False, False]),
        ("?type=features", 0, [True, True]),
        ("?type=queries", 0, [True, True]),
        ("?type=predictions&bse_code=500002", 1, [True, False]),
        ("?bse_code=500001", 1, [False, True]),
    ],
)
async def test_only_the_named_values_are_cleared(
    tezi: Running, query: str, dropped: int, held: list[bool]
) -> None:
    pair = [item("500001"), item("500002")]
    await tezi.batch(*pair)
    found = await clear(tezi, query)
    assert found["dropped"] == dropped
    assert [one["cached"] for one in (await tezi.batch(*pair)).json()] == held


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("?type=everything", ["query", "type"]),
        ("?bse_code=12", ["query", "bse_code"]),
        ("?type=queries&bse_code=500001", ["query"]),
    ],
)
async def test_an_invalid_query_clears_nothing(tezi: Running, query: str, place: list[str]) -> None:
    await tezi.predict()
    response = await tezi.client.post(f"/api/v1/cache/clear{query}", headers=AUTHORIZED)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == place
    assert (await tezi.predict()).json()["cached"]


async def test_a_computation_from_before_a_clear_is_not_cached(tezi: Running) -> None:
    tezi.predictor.release = asyncio.Event()
    slow = asyncio.create_task(tezi.predict())
    await until(lambda: tezi.predictor.in_flight)
    await clear(tezi)
    tezi.predictor.release.set()
    assert (await slow).status_code == 200
    assert not (await tezi.predict()).json()["cached"]


async def test_a_clear_that_other_processes_cannot_hear_is_a_503(tezi: Running) -> None:
    await tezi.predict()
    clears = tezi.settings.cache_dir / "clears"
    clears.unlink()
    clears.mkdir()  # cannot be appended to, not even by root
    response = await tezi.client.post("/api/v1/cache/clear", headers=AUTHORIZED)
    assert response.status_code == 503
    assert "Other processes could not be told" in response.json()["detail"]
    assert not (await tezi.predict()).json()["cached"]


async def test_statistics_and_metrics_count_keys(tezi: Running) -> None:
    await tezi.batch(item("500001"), item("500002"))
    await tezi.batch(item("500001"), item("500002"))
    await tezi.predict()
    stats = (await tezi.client.get("/api/v1/cache/stats")).json()
    counts = {"asked": 5, "local_hits": 3, "redis_hits": 0, "misses": 2, "hit_rate": 0.6}
    assert stats["kinds"]["predictions"] == {
        "enabled": True,
        "ttl_s": 3600.0,
        "since_start": counts,
        "recent": counts,
    }
    assert stats["memory"]["entries"] == 2
    assert stats["redis"] == "none"
    metrics = (await tezi.client.get("/metrics")).text
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name.startswith("cache_")
    }
    assert samples["cache_requests_total", "hit", "local", "predictions"] == 3
    assert samples["cache_requests_total", "local", "miss", "predictions"] == 2
    assert samples["cache_hit_rate_percent", "predictions"] == pytest.approx(60.0)
    assert samples["cache_hit_rate_percent", "features"] == 0.0


async def test_a_disabled_cache_stores_nothing(tmp_path: Path) -> None:
    async with running_app(tmp_path) as tezi:
        for _ in range(2):
            assert not (await tezi.predict()).json()["cached"]
        stats = (await tezi.client.get("/api/v1/cache/stats")).json()
        assert not stats["kinds"]["predictions"]["enabled"]
        assert stats["kinds"]["predictions"]["since_start"]["asked"] == 0


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


async def test_two_gateways_share_one_redis(tmp_path: Path, redis_server: RedisServer) -> None:
    options = {
        "cache_predictions": True,
        "admin_token": ADMIN_TOKEN,
        "redis_url": redis_server.url,
        "redis_timeout_ms": 10_000,
        "redis_retry_s": 0.2,
    }
    async with (
        running_app(tmp_path / "one", **options) as one,
        running_app(tmp_path / "two", **options) as two,
    ):
        assert not (await one.predict()).json()["cached"]
        with redis.Redis.from_url(redis_server.url) as client:
            await until(lambda: list(client.scan_iter("*:prediction:*")))  # it is written later
        assert (await two.predict()).json()["cached"]
        assert not two.predictor.calls
        await clear(one, "?bse_code=500001")
        assert not (await two.predict()).json()["cached"]
        stats = (await two.client.get("/api/v1/cache/stats")).json()
        assert stats["redis"] == "up"
        assert stats["kinds"]["predictions"]["since_start"]["redis_hits"] == 1
        health = (await two.client.get("/api/v1/health")).json()
        assert health["components"]["redis"]["status"] == "healthy"
        redis_server.kill()

        async def is_degraded() -> bool:
            assert (await two.predict()).status_code == 200
            health = (await two.client.get("/api/v1/health")).json()
            return (health["status"], health["components"]["redis"]["status"]) == ("degraded",) * 2

        await until(is_degraded)
        assert (await two.predict()).status_code == 200
