"""A model whose process has died: it is noticed by its process, and loaded anew."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from preprocess.repository.releases import Releases
from preprocess.runtime.mending import Mender, models_with_stub
from preprocess.settings import Settings, load_settings
from tests.graphs import tiny_candidate
from tests.integration.stack import free_ports
from tests.repository.fake_triton import FakeTriton, serving

DIED = "the process of classifier_fp32_v1 had died: it is loaded anew"


class Stubs:
    """Processes with the command lines of Triton's."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, model: str) -> None:
        words = ["/triton_python_backend_stub", f"{self._repository}/{model}/1/model.onnx"]
        command = [sys.executable, "-c", "import time; time.sleep(60)", *words]
        self._processes.append((model, subprocess.Popen(command)))

    def kill(self, model: str) -> None:
        for of, process in self._processes:
            if of == model:
                process.kill()  # and not waited for: it stays as a zombie, as under Triton

    def stop(self) -> None:
        for _, process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (port,) = free_ports(1)
    return load_settings(data_dir=tmp_path / "data", triton_grpc_port=port, gpu="off")


@pytest.fixture
def stubs(settings: Settings) -> Iterator[Stubs]:
    found = Stubs(settings.repository_dir)
    for model in ("features", "classifier_fp32_v1"):
        found.start(model)
    deadline = time.monotonic() + 5
    while len(models_with_stub(settings.repository_dir)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield found
    found.stop()


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
async def triton(settings: Settings, tmp_path: Path) -> AsyncIterator[FakeTriton]:
    """Version 1 is stable and loaded."""
    async with serving(FakeTriton(settings.repository_dir), settings.triton_grpc_address) as fake:
        await Releases(settings).publish(tiny_candidate(tmp_path / "model"))
        fake.calls.clear()
        yield fake


async def gone(settings: Settings, model: str) -> None:
    async with asyncio.timeout(5):
        while model in models_with_stub(settings.repository_dir):
            await asyncio.sleep(0.01)


def test_processes_are_found_by_the_repository_that_they_serve(
    settings: Settings, stubs: Stubs, tmp_path: Path
) -> None:
    found = {"features", "classifier_fp32_v1"}
    assert models_with_stub(settings.repository_dir) == found
    assert models_with_stub(tmp_path / "other") == frozenset()


async def test_a_dead_one_is_loaded_anew(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str]
) -> None:
    mender = Mender(settings, notices.append)
    assert not await mender.mend()
    stubs.kill("classifier_fp32_v1")
    await gone(settings, "classifier_fp32_v1")
    assert await mender.mend()
    assert triton.calls == [("unload", "classifier_fp32_v1"), ("load", "classifier_fp32_v1")]
    assert notices == [DIED]
    stubs.start("classifier_fp32_v1")
    async with asyncio.timeout(5):
        while "classifier_fp32_v1" not in models_with_stub(settings.repository_dir):
            await asyncio.sleep(0.01)
    assert not await mender.mend()


async def test_who_asks_meanwhile_waits_for_it(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str]
) -> None:
    """The new process is there before its model answers: no reason to replace the server."""
    mender = Mender(settings, notices.append)
    await mender.mend()
    stubs.kill("classifier_fp32_v1")
    await gone(settings, "classifier_fp32_v1")
    async with asyncio.timeout(5):
        assert all(await asyncio.gather(mender.mend(), mender.mend()))
    assert triton.loads() == ["classifier_fp32_v1"]


async def test_one_that_was_let_go_of_is_left_alone(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str]
) -> None:
    mender = Mender(settings, notices.append)
    await mender.mend()
    del triton.loaded["classifier_fp32_v1"]
    stubs.kill("classifier_fp32_v1")
    await gone(settings, "classifier_fp32_v1")
    await mender.mend()
    assert (triton.calls, notices) == ([], [])
    assert not await mender.mend()  # and not asked about again


async def test_of_a_triton_that_is_not_there_nothing_is_said(
    settings: Settings, stubs: Stubs, notices: list[str]
) -> None:
    """While one starts, processes come and go."""
    mender = Mender(settings, notices.append)
    assert not await mender.mend()
    stubs.kill("features")
    await gone(settings, "features")
    assert not await mender.mend()
    assert notices == []


async def test_what_cannot_be_loaded_is_said(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str]
) -> None:
    mender = Mender(settings, notices.append)
    await mender.mend()
    triton.refuse.add("classifier_fp32_v1")
    stubs.kill("classifier_fp32_v1")
    await gone(settings, "classifier_fp32_v1")
    assert not await mender.mend()
    assert len(notices) == 1
    assert "cannot be loaded" in notices[0]


async def test_a_running_server_is_looked_after(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str]
) -> None:
    tending = asyncio.create_task(Mender(settings, notices.append).tend(Releases(settings)))
    try:
        async with asyncio.timeout(5):
            while ("infer", "predict_fp32") not in triton.calls:  # the end of reconciling
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            stubs.kill("classifier_fp32_v1")
            while not notices:
                await asyncio.sleep(0.01)
    finally:
        tending.cancel()
        with suppress(asyncio.CancelledError):
            await tending
    assert notices == [DIED]


async def test_a_second_triton_follows_what_was_told_to_the_first(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str], tmp_path: Path
) -> None:
    """They share the version folders; each has a repository of its own."""
    (port,) = free_ports(1)
    other = load_settings(data_dir=tmp_path / "other", triton_grpc_port=port, gpu="off")
    other.home.mkdir()
    other.versions_dir.symlink_to(settings.versions_dir)
    async with serving(FakeTriton(other.repository_dir), other.triton_grpc_address) as second:
        tending = asyncio.create_task(
            Mender(other, notices.append).tend(Releases(other, notice=notices.append))
        )
        try:
            async with asyncio.timeout(10):
                while ("infer", "predict_fp32") not in second.calls:
                    await asyncio.sleep(0.01)
                second.calls.clear()
                second.refuse.add("predict_fp32_v2")
                first = Releases(settings)
                await first.publish(tiny_candidate(tmp_path / "model-2"))
                while not notices:
                    await asyncio.sleep(0.01)
                second.refuse.clear()
                await first.activate(2)
                while second.loads()[-2:] != ["classifier_fp32", "predict_fp32"]:
                    await asyncio.sleep(0.01)
        finally:
            tending.cancel()
            with suppress(asyncio.CancelledError):
                await tending
    assert "version 2 is left out" in notices[0]
    assert "predict_fp32_v2" in second.loaded


async def test_labels_that_cannot_be_read_are_said_once(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str]
) -> None:
    tending = asyncio.create_task(Mender(settings, notices.append).tend(Releases(settings)))
    labels = settings.versions_dir / "labels.json"
    try:
        async with asyncio.timeout(5):
            while ("infer", "predict_fp32") not in triton.calls:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            intact = labels.read_bytes()
            labels.write_bytes(b"{")
            await asyncio.sleep(1.3)
            labels.write_bytes(intact)
            await asyncio.sleep(0.6)
            assert not tending.done()
    finally:
        tending.cancel()
        with suppress(asyncio.CancelledError):
            await tending
    assert len(notices) == 1
    assert "not followed yet" in notices[0]
