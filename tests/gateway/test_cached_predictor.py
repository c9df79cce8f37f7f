"""Cached predictions: what is computed, what is held, and when it is held no longer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date
from math import isnan
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cache.async_cache_manager import AsyncCacheManager
from gateway.cache.core import AnyCodec
from gateway.cache.keys import prediction_key
from gateway.cache.plan import Plan
from gateway.errors import DeadlineExceededError, PredictorUnavailableError
from gateway.ports import PredictionQuery
from preprocess.features.row import Status
from preprocess.market.values import Bar
from preprocess.models.names import Variant
from preprocess.store import open_store
from tests.gateway.fakes import (
    TODAY,
    Running,
    fake_features,
    item,
    put_labels,
    running_app,
    until,
    write_version,
)
from tests.redis import running_redis


@pytest.fixture
async def tezi(tmp_path: Path) -> AsyncIterator[Running]:
    """A running application whose predictions are cached."""
    async with running_app(tmp_path, cache_predictions=True, variants=("fp32", "int8")) as running:
        yield running


def asked(tezi: Running) -> list[list[str]]:
    """The codes of each call of the predictor."""
    return [[ask.bse_code for ask in call] for call in tezi.predictor.calls]


async def answers_cached(tezi: Running, cached: bool) -> bool:
    return bool((await tezi.predict()).json()["cached"] is cached)


async def test_the_second_answer_is_the_first_and_says_that_it_is_cached(tezi: Running) -> None:
    first = (await tezi.predict(include_features=True)).json()
    second = (await tezi.predict(include_features=True)).json()
    assert asked(tezi) == [["500001"]]
    assert (first.pop("cached"), second.pop("cached")) == (False, True)
    assert first == second
    features = list(second["features"].values())
    assert features == [None if isnan(f) else f for f in fake_features("500001", TODAY)]


async def test_a_request_without_features_shares_the_value(tezi: Running) -> None:
    await tezi.predict()
    found = (await tezi.predict(include_features=True)).json()
    assert found["cached"]
    assert len(found["features"]) == 25


async def test_of_a_batch_only_what_is_missing_is_computed_in_one_call(tezi: Running) -> None:
    await tezi.predict()
    found = (await tezi.batch(item("500002"), item("500001"), item("500003"))).json()
    assert asked(tezi) == [["500001"], ["500002", "500003"]]
    assert [one["cached"] for one in found] == [False, True, False]
    assert [one["bse_code"] for one in found] == ["500002", "500001", "500003"]
    again = (await tezi.batch(*[item(one["bse_code"]) for one in found])).json()
    assert [one["probability"] for one in again] == [one["probability"] for one in found]
    assert len(asked(tezi)) == 2


async def test_a_stock_that_is_named_twice_is_computed_once(tezi: Running) -> None:
    found = (await tezi.batch(item(), item())).json()
    assert asked(tezi) == [["500001"]]
    assert found[0] == found[1]


async def test_days_variants_and_versions_do_not_mix(tezi: Running) -> None:
    write_version(tezi.settings, 2, variants=("fp32", "int8"))
    bodies = [{}, {"prediction_date": "2026-08-13"}, {"variant": "int8"}]
    for body in bodies:
        assert not (await tezi.predict(**body)).json()["cached"]
    for body in bodies:
        assert (await tezi.predict(**body)).json()["cached"]
    put_labels(tezi.settings, stable=2)

    async def new_version() -> Any:
        found = (await tezi.predict()).json()
        return found if found["model_version"] == 2 else None

    assert not (await until(new_version))["cached"]


@pytest.mark.parametrize("status", [Status.UNKNOWN_STOCK, Status.SHORT_HISTORY])
async def test_refusals_are_not_held(tezi: Running, status: Status) -> None:
    tezi.predictor.statuses["500001"] = status
    assert (await tezi.predict()).status_code in (404, 422)
    tezi.predictor.statuses.clear()
    found = await tezi.predict()
    assert (found.status_code, found.json()["cached"]) == (200, False)


async def test_errors_are_not_held(tezi: Running) -> None:
    tezi.predictor.error = PredictorUnavailableError("gone")
    assert (await tezi.predict()).status_code == 503
    tezi.predictor.error = None
    found = await tezi.predict()
    assert (found.status_code, found.json()["cached"]) == (200, False)


async def test_what_is_held_is_answered_while_triton_is_away(tezi: Running) -> None:
    await tezi.predict()
    tezi.predictor.error = PredictorUnavailableError("gone")
    assert (await tezi.predict()).json()["cached"]
    found = (await tezi.batch(item("500001"), item("500002"))).json()
    assert [one["error"] is None for one in found] == [True, False]
    assert found[1]["error"]["code"] == "unavailable"


async def test_an_answer_of_another_version_is_not_held(tezi: Running) -> None:
    tezi.predictor.model_version = 2
    write_version(tezi.settings, 2, variants=("fp32", "int8"))
    for _ in range(2):
        found = (await tezi.predict()).json()
        assert (found["model_version"], found["cached"]) == (2, False)


async def test_a_thousand_callers_make_one_computation(tezi: Running) -> None:
    tezi.predictor.release = asyncio.Event()
    callers = [asyncio.create_task(tezi.predict()) for _ in range(1_000)]
    await until(lambda: tezi.traffic.in_flight == 1_000 and tezi.predictor.in_flight)
    tezi.predictor.release.set()
    found = await asyncio.gather(*callers)
    assert asked(tezi) == [["500001"]]
    assert {answer.status_code for answer in found} == {200}
    assert len({answer.json()["probability"] for answer in found}) == 1


async def test_a_caller_who_leaves_cancels_nobody(tezi: Running) -> None:
    tezi.predictor.release = asyncio.Event()
    leaves = asyncio.create_task(tezi.predict())
    await until(lambda: tezi.predictor.in_flight)
    stays = asyncio.create_task(tezi.predict())
    await until(lambda: tezi.traffic.in_flight == 2)
    leaves.cancel()
    await until(lambda: tezi.traffic.in_flight == 1)
    tezi.predictor.release.set()
    assert (await stays).status_code == 200
    assert asked(tezi) == [["500001"]]


async def test_a_hasty_caller_costs_others_nothing(
    tezi: Running, skip: Callable[[float], None]
) -> None:
    release = tezi.predictor.release = asyncio.Event()
    hasty = asyncio.create_task(
        tezi.client.post("/api/v1/predict", json=item(), headers={"x-request-timeout-ms": "20000"})
    )
    await until(lambda: tezi.predictor.in_flight)
    patient = asyncio.create_task(tezi.predict())
    await until(lambda: tezi.traffic.in_flight == 2)
    skip(21)
    assert (await hasty).status_code == 504
    release.set()
    assert (await patient).status_code == 200
    assert asked(tezi) == [["500001"]]
    assert tezi.predictor.timeouts[0] > 21  # the time of the service, not that of its first caller


async def test_who_joins_late_is_not_held_to_the_deadline_of_the_first(
    tezi: Running, skip: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[float] = []
    predict = tezi.predictor.predict

    async def late_at_first(queries: Sequence[PredictionQuery], timeout_s: float) -> Any:
        if queries[0].bse_code != "500001":  # the golden row
            return await predict(queries, timeout_s)
        calls.append(timeout_s)
        if len(calls) == 1:
            await asyncio.sleep(timeout_s)
            raise DeadlineExceededError("no answer")
        return await predict(queries, timeout_s)

    monkeypatch.setattr(tezi.predictor, "predict", late_at_first)
    first = asyncio.create_task(tezi.predict())
    await until(lambda: calls)
    skip(50)
    second = asyncio.create_task(tezi.predict())
    await until(lambda: tezi.traffic.in_flight == 2)
    skip(11)
    assert (await first).status_code == 504
    assert (await second).status_code == 200
    assert len(calls) == 2


async def test_a_computation_that_nobody_waits_for_is_cancelled_before_triton_has_it(
    tezi: Running,
) -> None:
    release = tezi.predictor.release = asyncio.Event()
    gateway = tezi.app.state.gateway
    calls = [
        asyncio.create_task(tezi.predict(bse_code=code)) for code in ("500001", "500002", "500002")
    ]
    await until(lambda: gateway.limited.waiting == 1 and tezi.traffic.in_flight == 3)
    calls[0].cancel()
    calls[1].cancel()
    await until(lambda: tezi.traffic.in_flight == 1)
    assert gateway.limited.waiting == 1  # one of its two callers still waits
    calls[2].cancel()
    await until(lambda: gateway.limited.waiting == 0)
    release.set()
    await until(lambda: gateway.limited.in_flight == 0)
    assert asked(tezi) == [["500001"]]
    assert (await tezi.predict()).json()["cached"]  # Triton had it: its result is not lost
    assert not (await tezi.predict(bse_code="500002")).json()["cached"]


async def test_the_value_of_another_model_with_this_number_is_nobodys(tmp_path: Path) -> None:
    """A data folder made anew begins with version 1 again, and Redis may still hold the old one."""
    async with running_app(tmp_path, cache_predictions=True) as tezi:
        cache = tezi.app.state.gateway.cache
        key = prediction_key("500001", TODAY, 1, "fp32")
        await cache.set(key, ("another graph", TODAY, 0.25, b"\0" * 100), 100)
        found = (await tezi.predict()).json()
        assert not found["cached"]
        assert found["probability"] != 0.25
        assert (await tezi.predict()).json() == {**found, "cached": True}
        assert asked(tezi) == [["500001"]]


class AsGiven(AnyCodec):
    """Caches bytes as they are."""

    def dump(self, _key: str, value: object) -> bytes:
        assert isinstance(value, bytes)
        return value


@pytest.mark.parametrize(
    "value",
    [
        1,
        ["text"],
        [1, 2, 3, 4],
        ["graph", "2026-08-14", "0.5", b"\0" * 100],
        ["graph", "2026-08-14", 0.25, b"short"],
        ["graph", "2026-08-14", 1.25, b"\0" * 100],
        ["graph", "2999-01-01", 0.25, b"\0" * 100],
        b"\x94\xa1\xff\xa1\xff\x00\xc4\x00",  # texts that are not UTF-8
    ],
)
async def test_a_value_of_the_wrong_type_in_redis_is_computed_again(
    tmp_path: Path, value: Any
) -> None:
    with running_redis(tmp_path) as server:
        async with running_app(
            tmp_path / "app", cache_predictions=True, redis_url=server.url
        ) as tezi:
            gateway = tezi.app.state.gateway
            if isinstance(value, list) and value[0] == "graph":
                value = [gateway.versions.get(1).variants["fp32"].sha256[:16], *value[1:]]
            other = AsyncCacheManager(Plan(redis_url=server.url, timeout_s=1.0))
            given = value if isinstance(value, bytes) else msgspec.msgpack.encode(value)
            key = prediction_key("500001", TODAY, 1, "fp32")
            await other.set_many({key: given}, 100, codec=AsGiven())
            await other.close()
            found = (await tezi.predict()).json()
            assert not found["cached"]
            assert (await tezi.predict()).json() == {**found, "cached": True}


async def test_a_commit_of_prices_is_seen(tezi: Running) -> None:
    await tezi.batch(item("500001"), item("500002"))
    store = open_store(tezi.settings, write=True)
    with store.transaction() as writer:
        writer.put_prices([Bar("500001", date(2026, 8, 14), 11, 11, 11, 11, 5)])
    store.close()
    await until(lambda: answers_cached(tezi, False))
    assert (await tezi.batch(item("500002"))).json()[0]["cached"]


async def test_while_commits_are_not_heard_of_nothing_cached_is_answered(
    tezi: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tezi.predict()
    assert (await tezi.predict()).json()["cached"]
    monkeypatch.setattr("gateway.cache.market_changes.PATIENCE_S", 0.0)
    for _ in range(2):
        found = (await tezi.predict()).json()
        assert not found["cached"]


async def test_wrong_answers_are_forgotten_once_they_are_known_to_be_wrong(
    tezi: Running,
) -> None:
    await tezi.until_ready()
    tezi.predictor.probabilities["500001"] = 0.999
    assert (await tezi.predict()).json()["probability"] == 0.999
    tezi.predictor.golden_shift = 0.1
    await tezi.until_status(503)
    assert (await tezi.predict()).status_code == 503
    tezi.predictor.probabilities.clear()
    tezi.predictor.golden_shift = 0.0

    async def answered() -> Any:
        found = await tezi.predict()
        return found.json() if found.status_code == 200 else None

    assert (await until(answered))["probability"] != 0.999


@pytest.mark.parametrize("variant", ["fp32", "int8"])
async def test_a_value_ends(tmp_path: Path, variant: Variant) -> None:
    async with running_app(
        tmp_path,
        cache_predictions=True,
        variants=("fp32", "int8"),
        cache_predictions_ttl_s=0.2,
        cache_local_ttl_s=0.2,
    ) as tezi:
        await tezi.predict(variant=variant)
        await asyncio.sleep(0.25)
        assert not (await tezi.predict(variant=variant)).json()["cached"]


async def test_a_shadow_compares_what_is_answered_and_computes_it_once(tezi: Running) -> None:
    """What was held before there was a shadow is compared as well."""
    await tezi.predict()
    write_version(tezi.settings, 2)
    put_labels(tezi.settings, candidate=2, share=100.0, shadow=True)

    async def has_a_candidate() -> bool:
        return bool((await tezi.client.get("/api/v1/models")).json()["candidate"] == 2)

    await until(has_a_candidate)
    for _ in range(3):
        await tezi.predict()
    compared = 'shadow_predictions_total{result="same",variant="fp32"} 3.0'

    async def has_compared() -> bool:
        return compared in (await tezi.client.get("/metrics")).text

    await until(has_compared)
    assert [ask.version for call in tezi.predictor.calls for ask in call] == [1, 2]
