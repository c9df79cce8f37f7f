"""Shadows: compared with the stable version, never in a caller's way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.catalog.shadow import Shadow
from gateway.catalog.versions import ModelCatalog
from gateway.errors import PredictorUnavailableError
from gateway.ports import PredictionQuery
from preprocess.features.row import Status
from preprocess.settings import Settings, load_settings
from tests.gateway.fakes import (
    TODAY,
    FakePredictor,
    Running,
    fake_probability,
    item,
    put_labels,
    write_version,
)
from tests.gateway.fakes import until as wait_until

RIGHT = fake_probability("500001", TODAY)
ASK = PredictionQuery("500001", TODAY, "fp32", 1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load_settings(data_dir=tmp_path / "data")
    write_version(settings, 2)
    return settings


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
def seen() -> list[tuple[str, str, float | None]]:
    return []


@pytest.fixture
async def shadow(
    settings: Settings, predictor: FakePredictor, seen: list[tuple[str, str, float | None]]
) -> AsyncIterator[Shadow]:
    shadow = Shadow(
        predictor, ModelCatalog(settings.versions_dir), lambda *result: seen.append(result)
    )
    task = asyncio.create_task(shadow.run())
    yield shadow
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(seen: list[tuple[str, str, float | None]], count: int) -> None:
    await wait_until(lambda: len(seen) >= count)


async def test_labels_and_probabilities_are_compared(
    shadow: Shadow, predictor: FakePredictor, seen: list[tuple[str, str, float | None]]
) -> None:
    label = int(RIGHT >= 0.5)
    shadow.offer(ASK, 2, RIGHT, label)
    shadow.offer(ASK, 2, RIGHT - 0.25, 1 - label)
    await until(seen, 2)
    assert seen == [("fp32", "same", 0.0), ("fp32", "other", 0.25)]
    assert [[ask.version for ask in call] for call in predictor.calls] == [[2, 2]]


async def test_no_answer_is_counted(
    shadow: Shadow, predictor: FakePredictor, seen: list[tuple[str, str, float | None]]
) -> None:
    predictor.error = PredictorUnavailableError("x")
    shadow.offer(ASK, 2, RIGHT, 1)
    await until(seen, 1)
    predictor.error = None
    predictor.statuses["500001"] = Status.SHORT_HISTORY
    shadow.offer(ASK, 2, RIGHT, 1)
    await until(seen, 2)
    predictor.statuses.clear()
    shadow.offer(ASK, 9, RIGHT, 1)  # not published
    await until(seen, 3)
    assert seen == [("fp32", "failed", None)] * 3


async def test_what_does_not_fit_is_dropped(
    shadow: Shadow, predictor: FakePredictor, seen: list[tuple[str, str, float | None]]
) -> None:
    for _ in range(300):
        shadow.offer(ASK, 2, RIGHT, 1)
    assert [result for _, result, _ in seen] == ["dropped"] * (300 - 256)
    await until(seen, 300)
    assert max(map(len, predictor.calls)) == 100


async def test_callers_do_not_wait_for_it(tezi: Running) -> None:
    write_version(tezi.settings, 2)
    put_labels(tezi.settings, candidate=2, share=100.0, shadow=True)
    tezi.predictor.errors[2] = PredictorUnavailableError("x")

    async def has_failed() -> bool:
        response = await tezi.predict()
        assert (response.status_code, response.json()["model_version"]) == (200, 1)
        metrics = (await tezi.client.get("/metrics")).text
        return 'shadow_predictions_total{result="failed",variant="fp32"}' in metrics

    await wait_until(has_failed)
    health = (await tezi.client.get("/api/v1/health")).json()
    assert health["status"] == "healthy"
    assert "2 shadows 100 % of stocks" in health["components"]["models"]["detail"]


async def test_a_shadow_of_some_stocks_does_not_split_a_batch(tezi: Running) -> None:
    write_version(tezi.settings, 2)
    put_labels(tezi.settings, candidate=2, share=50.0, shadow=True)
    router = tezi.app.state.gateway.router
    await wait_until(lambda: router.labels.candidate == 2)
    codes = [f"{500000 + number}" for number in range(20)]
    assert len({router.route("fp32", code) for code in codes}) == 2
    assert (await tezi.batch(*map(item, codes))).status_code == 200
    assert [ask.bse_code for ask in tezi.predictor.calls[0]] == codes
