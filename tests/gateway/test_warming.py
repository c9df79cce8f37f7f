"""What people will ask for is in the cache before they do: after imports, activations, failures."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from datetime import date
from pathlib import Path

import pytest

from gateway.cache import warming
from gateway.errors import PredictorUnavailableError
from gateway.ports import InferenceResult, PredictionQuery
from preprocess.market.golden_row import GOLDEN_CODE
from preprocess.market.values import Bar
from preprocess.store import open_store
from tests.gateway.fakes import (
    STOCKS,
    TODAY,
    FakePredictor,
    Running,
    item,
    put_labels,
    running_app,
    until,
    write_version,
)
from tests.redis import RedisServer, running_redis

CODES = [stock.bse_code for stock in STOCKS]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "POLL_S", 0.05)
    monkeypatch.setattr(warming, "_FIRST_WITHIN_S", 0.02)
    monkeypatch.setattr(warming, "_BATCH_ROWS", 3)


@pytest.fixture
async def gateway(tmp_path: Path, redis: RedisServer) -> AsyncIterator[Running]:
    """A gateway that has been ready once."""
    async with AsyncExitStack() as stack:
        tezi = await stack.enter_async_context(
            running_app(tmp_path, cache_predictions=True, redis_url=redis.url)
        )
        await tezi.until_ready()
        yield tezi


def asked(predictor: FakePredictor) -> list[tuple[str, str, int | None]]:
    """The stocks, days and versions that were computed."""
    return [
        (query.bse_code, query.prediction_date, query.version)
        for call in predictor.calls
        for query in call
    ]


async def until_asked(tezi: Running, count: int) -> None:
    await until(lambda: len(asked(tezi.predictor)) >= count)
    await asyncio.sleep(0.1)  # the last batch is written a moment after it is computed


async def test_nobody_waits_for_a_first_answer(gateway: Running) -> None:
    """Every stock for today and for the newest day with prices, each computed once."""
    await until_asked(gateway, 8)
    days = ("2026-08-13", TODAY)
    assert sorted(asked(gateway.predictor)) == sorted((c, d, 1) for d in days for c in CODES)
    answers = (await gateway.batch(*(item(code) for code in CODES))).json()
    assert [answer["cached"] for answer in answers] == [True] * 4
    assert len(asked(gateway.predictor)) == 8
    stats = (await gateway.client.get("/api/v1/cache/stats")).json()
    counts = stats["kinds"]["predictions"]["since_start"]
    assert (counts["asked"], counts["redis_hits"]) == (4, 4)  # warming counts as no request


async def test_only_what_changed_is_computed_anew(gateway: Running) -> None:
    await until_asked(gateway, 8)
    with closing(open_store(gateway.settings, write=True)) as store, store.transaction() as writer:
        writer.put_prices([Bar("500002", date(2026, 8, 12), 9, 9, 9, 9, 9)])
    await until_asked(gateway, 10)
    assert {code for code, _, _ in asked(gateway.predictor)[8:]} == {"500002"}
    write_version(gateway.settings, 2)
    put_labels(gateway.settings, stable=2)
    await until_asked(gateway, 18)
    assert {version for _, _, version in asked(gateway.predictor)[10:]} == {2}
    await asyncio.sleep(0.3)
    assert len(asked(gateway.predictor)) == 18


class HalfHeartedPredictor(FakePredictor):
    """Answers the golden row; others only once it is well."""

    well = False

    async def predict(
        self, queries: Sequence[PredictionQuery], timeout_s: float
    ) -> list[InferenceResult]:
        results = await super().predict(queries, timeout_s)
        if queries[0].bse_code != GOLDEN_CODE and not self.well:
            raise PredictorUnavailableError("away")
        return results


async def test_a_pass_that_fails_is_tried_again_after_a_while(
    tmp_path: Path, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warming, "_CLAIM_S", 0.2)
    predictor = HalfHeartedPredictor()
    async with running_app(
        tmp_path, predictor=predictor, cache_predictions=True, redis_url=redis.url
    ) as tezi:
        await until(lambda: len(predictor.calls) == 2)
        assert {code for code, _, _ in asked(predictor)} == set(CODES[:3])
        predictor.well = True
        await until(lambda: {code for code, _, _ in asked(predictor)} == set(CODES))
        await until_asked(tezi, 14)


@pytest.mark.parametrize("off", [{"warm_cache": False}, {"redis_url": ""}])
async def test_it_can_be_switched_off_and_needs_redis(
    tmp_path: Path, redis: RedisServer, off: dict[str, object]
) -> None:
    given = {"cache_predictions": True, "redis_url": redis.url, **off}
    async with running_app(tmp_path, **given) as tezi:
        await tezi.until_ready()
        await asyncio.sleep(0.3)
        assert tezi.predictor.calls == []
