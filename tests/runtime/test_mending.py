"""Which errors are about a model's dead process, and what is done about it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from preprocess.errors import ServerError
from preprocess.repository.releases import Releases
from preprocess.runtime import mending
from preprocess.runtime.mending import Mender, dead_model
from preprocess.settings import Settings, load_settings
from tests.graphs import tiny_candidate
from tests.integration.stack import free_ports
from tests.repository.fake_triton import FakeTriton, serving

# As Triton 2.51 says it.
DEAD = ServerError(
    "Triton refused the golden row: in ensemble 'predict_int8', Stub process "
    "'classifier_int8_v13_0_0' is not healthy."
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (port,) = free_ports(1)
    return load_settings(data_dir=tmp_path / "data", triton_grpc_port=port, gpu="off")


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
async def triton(settings: Settings, tmp_path: Path) -> AsyncIterator[FakeTriton]:
    """Versions 1 (previous) and 2 (stable), loaded."""
    async with serving(FakeTriton(settings.repository_dir), settings.triton_grpc_address) as fake:
        candidate = tiny_candidate(tmp_path / "model")
        for _ in range(2):
            await Releases(settings).publish(candidate, activate=True)
        fake.calls.clear()
        yield fake


def test_the_model_is_read_from_the_error() -> None:
    assert dead_model(DEAD) == "classifier_int8_v13"
    assert dead_model(ServerError("Stub process 'features_0_1' is not healthy.")) == "features"
    assert dead_model(ServerError("The golden row came back wrong.")) is None


async def test_it_is_loaded_anew(
    settings: Settings, triton: FakeTriton, notices: list[str]
) -> None:
    mender = Mender(settings, notices.append)
    error = ServerError("Stub process 'classifier_fp32_v1_0_0' is not healthy.")
    assert await mender.mend(error)
    assert triton.calls == [("unload", "classifier_fp32_v1"), ("load", "classifier_fp32_v1")]
    assert notices == ["the process of classifier_fp32_v1 had died: it is loaded anew"]


async def test_anything_else_is_left_to_others(
    settings: Settings, triton: FakeTriton, notices: list[str]
) -> None:
    assert not await Mender(settings, notices.append).mend(ServerError("wrong"))
    assert (triton.calls, notices) == ([], [])


async def test_what_cannot_be_loaded_is_said(
    settings: Settings, triton: FakeTriton, notices: list[str]
) -> None:
    triton.refuse.add("classifier_int8_v13")
    assert not await Mender(settings, notices.append).mend(DEAD)
    assert len(notices) == 1
    assert "cannot be loaded" in notices[0]


async def test_versions_that_do_not_serve_are_looked_after(
    settings: Settings,
    triton: FakeTriton,
    notices: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mending, "_LOOK_S", 0.02)
    tending = asyncio.create_task(Mender(settings, notices.append).tend(Releases(settings)))
    try:
        async with asyncio.timeout(5):
            while ("infer", "predict_fp32_v1") not in triton.calls:
                await asyncio.sleep(0.01)
        triton.dead.add("classifier_fp32_v1")
        async with asyncio.timeout(5):
            while not notices:
                await asyncio.sleep(0.01)
        assert triton.dead == set()
        (settings.versions_dir / "labels.json").write_text("{")
        async with asyncio.timeout(5):
            while len(notices) < 2:
                await asyncio.sleep(0.01)
    finally:
        tending.cancel()
        with suppress(asyncio.CancelledError):
            await tending
    assert notices[0] == "the process of classifier_fp32_v1 had died: it is loaded anew"
    assert "cannot be looked after" in notices[1]
