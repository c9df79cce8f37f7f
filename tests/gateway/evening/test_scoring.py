"""Batches through a Triton that fails, lies and stops answering."""

from datetime import date

import grpc
import numpy as np
import pytest

from gateway.evening import scoring
from gateway.evening.scoring import EnsembleRow, score
from preprocess.errors import EveningError
from preprocess.settings import Settings
from tests.gateway.evening.conftest import CODES
from tests.gateway.evening.fakes import GONE, FakeTriton, serving
from tests.integration.stack import free_ports

pytestmark = pytest.mark.usefixtures("small_batches")

DAY = date(2024, 5, 31)


async def scored(address: str, told: list[tuple[int, int]] | None = None) -> list[EnsembleRow]:
    told = [] if told is None else told
    return await score(
        address, "predict_fp32_v1", CODES, DAY, version=1, advance=lambda *now: told.append(now)
    )


async def test_one_answer_for_each_stock_in_their_order(
    settings: Settings, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("gateway.evening.scoring.asyncio.sleep", pause)
    answers = await scored(settings.triton_grpc_address, told)
    assert [row.bse_code for row in answers] == CODES
    assert answers[0] == EnsembleRow(CODES[0], "OK", "2024-05-31", float(np.float32(0.1)))
    assert told == [(done, 12) for done in range(0, 13, 2)]
    # Others are to be served meanwhile.
    assert triton.most_at_once == 1
    assert len(pauses) == 6
    assert min(pauses) > 0.0


async def test_a_failure_that_passes_is_not_noticed(settings: Settings, triton: FakeTriton) -> None:
    triton.failures = [GONE, GONE]
    assert len(await scored(settings.triton_grpc_address)) == 12
    assert len(triton.asked) == 8


@pytest.mark.parametrize(
    ("failure", "at_most"), [(GONE, 5 * 3), ((grpc.StatusCode.INTERNAL, "the server is gone"), 3)]
)
async def test_a_failure_that_stays_ends_the_run(
    settings: Settings,
    triton: FakeTriton,
    failure: tuple[grpc.StatusCode, str],
    at_most: int,
) -> None:
    triton.failures = [failure] * 99
    with pytest.raises(EveningError, match=r"the server is gone\. Nothing was written"):
        await scored(settings.triton_grpc_address)
    assert len(triton.asked) <= at_most


async def test_no_server_at_all(settings: Settings) -> None:
    with pytest.raises(EveningError, match="tezi up"):
        await scored(settings.triton_grpc_address)


async def test_a_triton_that_stops_answering_is_given_up(
    settings: Settings, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "DEADLINE_S", 0.001)
    with pytest.raises(EveningError, match="Deadline Exceeded"):
        await scored(settings.triton_grpc_address)


async def test_several_tritons_share_the_work(settings: Settings, triton: FakeTriton) -> None:
    (port,) = free_ports(1)
    second = FakeTriton(settings.versions_dir)
    with serving(second, f"127.0.0.1:{port}"):
        both = f"ipv4:127.0.0.1:{settings.triton_grpc_port},127.0.0.1:{port}"
        for _ in range(5):  # until both are connected
            await scored(both)
    assert triton.asked
    assert second.asked


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"version": 2}, "predict_fp32_v1 of Triton answers with version 2"),
        ({"cut": 1}, "one row for each stock"),
    ],
)
async def test_an_answer_that_cannot_be_right_is_refused(
    settings: Settings, triton: FakeTriton, fault: dict[str, int], message: str
) -> None:
    for name, value in fault.items():
        setattr(triton, name, value)
    with pytest.raises(EveningError, match=message):
        await scored(settings.triton_grpc_address)
