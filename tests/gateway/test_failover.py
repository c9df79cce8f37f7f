"""Which refusals are asked about again, of whom, and for how long.

Two Tritons behind one name are real gRPC servers here, and the client is the gateway's own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode as Code
from tritonclient.grpc import service_pb2_grpc

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
from gateway.failover import SHARE_OF_TIME, FailoverPredictor
from gateway.ports import Ask
from gateway.routing import Router
from gateway.triton import TritonPredictor
from gateway.versions import VersionBook
from preprocess.settings import load_settings
from tests.gateway.fakes import TODAY, FakePredictor, Running, put_labels, write_version
from tests.gateway.test_triton import Servicer

ASKS = [Ask("500325", TODAY, "fp32", 1)]
# What Triton 2.51 says from the moment on in which it is told to end.
LEAVING = (Code.NOT_FOUND, "Request for unknown model: 'predict_fp32_v1' has no available versions")


@pytest.fixture
async def router(tmp_path: Path) -> Router:
    settings = load_settings(data_dir=tmp_path)
    write_version(settings, 1)
    put_labels(settings, stable=1)
    router = Router(settings.versions_dir, VersionBook(settings.versions_dir))
    await router.refresh()
    return router


@dataclass
class Triton:
    servicer: Servicer
    port: int
    server: Any

    @classmethod
    async def start(cls, port: int = 0) -> "Triton":
        server, servicer = grpc.aio.server(), Servicer()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        return cls(servicer, port, server)

    @property
    def asked(self) -> int:
        return len(self.servicer.requests)


@asynccontextmanager
async def asked_together(router: Router, *tritons: Triton) -> AsyncIterator[FailoverPredictor]:
    """What a gateway makes of a name that leads to all of these."""
    addresses = ",".join(f"127.0.0.1:{triton.port}" for triton in tritons)
    predictor = FailoverPredictor(TritonPredictor(f"ipv4:{addresses}"), router)
    try:
        yield predictor
    finally:
        await predictor.close()
        for triton in tritons:
            await triton.server.stop(None)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not happened():
            await asyncio.sleep(0.005)


async def test_one_of_two_tritons_may_be_restarted(router: Router) -> None:
    first, second = await Triton.start(), await Triton.start()
    failures: list[PredictorError] = []
    answered = 0
    over = False

    async def caller() -> None:
        nonlocal answered
        while not over:
            try:
                await predictor.predict(ASKS, 2.0)
                answered += 1
            except PredictorError as error:
                failures.append(error)
            await asyncio.sleep(0.002)

    async with asked_together(router, first, second) as predictor:
        callers = [asyncio.create_task(caller()) for _ in range(4)]
        await until(lambda: min(first.asked, second.asked) > 20)
        # It lets go of its models, then of its connections, then of its port, and comes back.
        first.servicer.failure = LEAVING
        refused = first.asked
        await until(lambda: first.asked > refused + 50)
        await first.server.stop(None)
        gone = answered
        await until(lambda: answered > gone + 50)
        again = await Triton.start(first.port)
        await until(lambda: again.asked > 20)
        over = True
        await asyncio.gather(*callers)
        await again.server.stop(None)
    assert failures == []


async def test_a_triton_that_is_back_in_time_answers_who_waits(router: Router) -> None:
    triton = await Triton.start()
    async with asked_together(router, triton) as predictor:
        await predictor.predict(ASKS, 2.0)
        triton.servicer.failure = LEAVING
        waits = asyncio.create_task(predictor.predict(ASKS, 20.0))
        await until(lambda: triton.asked > 5)
        await triton.server.stop(None)
        again = await Triton.start(triton.port)
        assert len(await waits) == 1
        await again.server.stop(None)


async def test_asking_again_has_an_end(router: Router) -> None:
    triton = await Triton.start()
    triton.servicer.failure = LEAVING
    async with asked_together(router, triton) as predictor:
        began = asyncio.get_running_loop().time()
        with pytest.raises(VariantUnavailableError):
            await predictor.predict(ASKS, 0.8)
        took_s = asyncio.get_running_loop().time() - began
    assert 0.1 < took_s <= 0.8 * SHARE_OF_TIME + 0.1
    # Four at once, then after 5, 10, 20, 40 and 80 ms.
    assert 6 <= triton.asked <= 10


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
        await FailoverPredictor(inner, router).predict(ASKS, 2.0)
    assert len(inner.calls) == 1


async def test_each_try_gets_the_time_that_is_left(router: Router) -> None:
    inner = FakePredictor(error=PredictorAwayError("gone"))
    with pytest.raises(PredictorAwayError):
        await FailoverPredictor(inner, router).predict(ASKS, 0.4)
    assert len(inner.timeouts) > 4
    assert inner.timeouts == sorted(inner.timeouts, reverse=True)
    assert 0.4 * (1 - SHARE_OF_TIME) < inner.timeouts[-1] < 0.4


async def test_callers_read_that_they_may_try_again(tezi: Running) -> None:
    tezi.predictor.error = PredictorAwayError("gone")
    response = await tezi.predict()
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
