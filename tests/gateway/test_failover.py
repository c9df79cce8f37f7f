"""Which refusals are asked about again, of whom, and for how long.

Two Tritons behind one name are real HTTP servers here, and the client is the gateway's own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.catalog.routing import Router
from gateway.catalog.versions import ModelCatalog
from gateway.errors import (
    DeadlineExceededError,
    GpuAbsentError,
    PredictorAwayError,
    PredictorError,
    PredictorOverloadedError,
    PredictorUnavailableError,
    StoreUnavailableError,
    VariantUnavailableError,
)
from gateway.ports import PredictionQuery
from gateway.triton.failover import SHARE_OF_TIME, FailoverPredictor
from gateway.triton.predictor import TritonPredictor
from preprocess.settings import load_settings
from tests.gateway.fakes import TODAY, FakePredictor, Running, put_labels, until, write_version
from tests.gateway.http_triton import HttpTriton, leads_to, serving

ASKS = [PredictionQuery("500325", TODAY, "fp32", 1)]
# What Triton 2.51 says from the moment on in which it is told to end.
LEAVING = (404, "Request for unknown model: 'predict_fp32_v1' has no available versions")


@pytest.fixture
async def router(tmp_path: Path) -> Router:
    settings = load_settings(data_dir=tmp_path)
    write_version(settings, 1)
    put_labels(settings, stable=1)
    router = Router(settings.versions_dir, ModelCatalog(settings.versions_dir))
    await router.refresh()
    return router


@asynccontextmanager
async def asked_together(router: Router, *tritons: HttpTriton) -> AsyncIterator[FailoverPredictor]:
    """What a gateway makes of a name that leads to all of these."""
    async with serving(*tritons):
        look_up = leads_to(*(triton.place for triton in tritons))
        predictor = FailoverPredictor(TritonPredictor(look_up), router)
        try:
            yield predictor
        finally:
            await predictor.close()


async def test_one_of_two_tritons_may_be_restarted(router: Router) -> None:
    first, second = HttpTriton(), HttpTriton()
    failures: list[PredictorError] = []
    answered = 0
    over = False

    async def caller() -> None:
        nonlocal answered
        while not over:
            try:
                await predictor.predict(ASKS, 60.0)
                answered += 1
            except PredictorError as error:
                failures.append(error)
            await asyncio.sleep(0.002)

    async with asked_together(router, first, second) as predictor:
        callers = [asyncio.create_task(caller()) for _ in range(4)]
        await until(lambda: min(len(first.requests), len(second.requests)) > 20)
        # It lets go of its models, then of its connections, then of its port, and comes back.
        first.failure = LEAVING
        refused = len(first.requests)
        await until(lambda: len(first.requests) > refused + 50)
        await first.stop()
        gone = answered
        await until(lambda: answered > gone + 50)
        first.failure = None
        back = len(first.requests)
        await first.start()
        await until(lambda: len(first.requests) > back + 20)
        over = True
        await asyncio.gather(*callers)
    assert failures == []


async def test_a_triton_that_is_back_in_time_answers_who_waits(router: Router) -> None:
    triton = HttpTriton()
    async with asked_together(router, triton) as predictor:
        await predictor.predict(ASKS, 60.0)
        triton.failure = LEAVING
        waits = asyncio.create_task(predictor.predict(ASKS, 200.0))
        await until(lambda: len(triton.requests) > 5)
        await triton.stop()
        triton.failure = None
        await triton.start()
        assert len(await waits) == 1


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch, skip: Callable[[float], None]) -> None:
    """Every pause is over at once, by the clock too."""

    async def pause(seconds: float) -> None:
        skip(seconds)

    monkeypatch.setattr("gateway.triton.failover.asyncio.sleep", pause)


@pytest.mark.usefixtures("no_waiting")
async def test_asking_again_has_an_end(router: Router) -> None:
    inner = FakePredictor(error=VariantUnavailableError("leaving"))
    with pytest.raises(VariantUnavailableError):
        await FailoverPredictor(inner, router).predict(ASKS, 3600.0)
    assert inner.timeouts == sorted(inner.timeouts, reverse=True)
    # Each try gets the time that is left, and the last one begins within the share.
    assert 3600 * (1 - SHARE_OF_TIME) <= inner.timeouts[-1] < 3600 * (1 - SHARE_OF_TIME) + 1
    # Five at once, and later five a second.
    assert 3600 * SHARE_OF_TIME * 4.5 < len(inner.timeouts) < 3600 * SHARE_OF_TIME * 5.5


@pytest.mark.serial
async def test_one_that_lets_its_callers_wait_while_it_ends_costs_time_only(
    router: Router,
) -> None:
    # What Triton 2.51 does to who asks it over HTTP once it is told to end.
    ends, answers = HttpTriton(delay_s=0.4, hangs_up=True), HttpTriton()
    async with asked_together(router, ends, answers) as predictor:
        for _ in range(4):
            began = asyncio.get_running_loop().time()
            assert len(await predictor.predict(ASKS, 1.0)) == 1
            assert asyncio.get_running_loop().time() - began < 0.9
    assert len(ends.requests) in (1, 2)
    assert len(answers.requests) == 4


@pytest.mark.parametrize(
    "error",
    [
        GpuAbsentError("no GPU"),
        DeadlineExceededError("late"),
        PredictorOverloadedError("full"),
        StoreUnavailableError("no database"),
        PredictorUnavailableError("onnx runtime error"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_another_try_would_not_change_is_said_at_once(
    router: Router, error: PredictorError
) -> None:
    inner = FakePredictor(error=error)
    with pytest.raises(type(error)):
        await FailoverPredictor(inner, router).predict(ASKS, 60.0)
    assert len(inner.calls) == 1


@pytest.mark.usefixtures("hardly_retried")
async def test_callers_read_that_they_may_try_again(tezi: Running) -> None:
    tezi.predictor.error = PredictorAwayError("gone")
    response = await tezi.predict()
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
