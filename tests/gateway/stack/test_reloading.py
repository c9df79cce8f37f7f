"""A model whose process has died: it is noticed by its process, and loaded anew."""

import asyncio
import errno
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.stack.reloading import ModelReloader, models_with_stub
from preprocess.repository.labels import Labels
from preprocess.repository.releases import Releases
from preprocess.settings import Settings, load_settings
from tests.graphs import tiny_candidate
from tests.integration.stack import free_ports
from tests.preprocess.repository.fake_triton import FakeTriton, serving

# The machine may have much else to do.
LIMIT_S = 60.0
DIED = "the process of classifier_fp32_v1 died; the model was reloaded"


class Stubs:
    """Processes with the command lines of Triton's."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, model: str) -> None:
        words = ["/triton_python_backend_stub", f"{self._repository}/{model}/1/model.onnx"]
        command = [sys.executable, "-c", "import time; time.sleep(600)", *words]
        self._processes.append((model, subprocess.Popen(command)))

    def kill(self, model: str) -> None:
        for of, process in self._processes:
            if of == model:
                process.kill()  # and not waited for: it stays as a zombie, as under Triton

    def stop(self) -> None:
        for _, process in self._processes:
            process.kill()
            process.wait()


class Looks:
    """Takes the place of the pause between two looks, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, _: float) -> None:
        self.count += 1
        await asyncio.sleep(0.01)

    async def more(self, count: int) -> None:
        """Wait for so many looks more."""
        wanted = self.count + count
        async with asyncio.timeout(LIMIT_S):
            while self.count < wanted:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def watched(settings: Settings, notices: list[str]) -> AsyncIterator[Looks]:
    """A mender at work that has begun to look."""
    looks = Looks()
    reloader = ModelReloader(settings, notices.append, sleep=looks)
    watching = asyncio.create_task(reloader.watch(Releases(settings, notice=notices.append)))
    try:
        await looks.more(1)
        yield looks
        assert not watching.done()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (port,) = free_ports(1)
    (tmp_path / "data" / "versions").mkdir(parents=True)
    return load_settings(data_dir=tmp_path / "data", triton_grpc_port=port, gpu="off")


@pytest.fixture
def stubs(settings: Settings) -> Iterator[Stubs]:
    found = Stubs(settings.repository_dir)
    for model in ("features", "classifier_fp32_v1"):
        found.start(model)
    deadline = time.monotonic() + LIMIT_S
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
    async with serving(FakeTriton(settings.repository_dir), settings) as fake:
        await Releases(settings).publish(tiny_candidate(tmp_path / "model"))
        fake.calls.clear()
        yield fake


async def gone(settings: Settings, model: str) -> None:
    async with asyncio.timeout(LIMIT_S):
        while model in models_with_stub(settings.repository_dir):
            await asyncio.sleep(0.01)


def test_stubs_are_found_by_their_repository(
    settings: Settings, stubs: Stubs, tmp_path: Path
) -> None:
    found = {"features", "classifier_fp32_v1"}
    assert models_with_stub(settings.repository_dir) == found
    assert models_with_stub(tmp_path / "other") == frozenset()


async def test_a_model_with_a_dead_process_is_reloaded(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str]
) -> None:
    reloader = ModelReloader(settings, notices.append)
    assert not await reloader.reload_dead()
    stubs.kill("classifier_fp32_v1")
    await gone(settings, "classifier_fp32_v1")
    assert await reloader.reload_dead()
    assert triton.calls == [("unload", "classifier_fp32_v1"), ("load", "classifier_fp32_v1")]
    assert notices == [DIED]
    stubs.start("classifier_fp32_v1")
    async with asyncio.timeout(LIMIT_S):
        while "classifier_fp32_v1" not in models_with_stub(settings.repository_dir):
            await asyncio.sleep(0.01)
    assert not await reloader.reload_dead()


async def test_a_second_reload_waits_for_the_first(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str]
) -> None:
    """The new process is there before its model answers: no reason to replace the server."""
    reloader = ModelReloader(settings, notices.append)
    await reloader.reload_dead()
    stubs.kill("classifier_fp32_v1")
    await gone(settings, "classifier_fp32_v1")
    async with asyncio.timeout(LIMIT_S):
        assert all(await asyncio.gather(reloader.reload_dead(), reloader.reload_dead()))
    assert triton.loads() == ["classifier_fp32_v1"]


async def test_an_unloaded_model_is_left_alone(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str]
) -> None:
    reloader = ModelReloader(settings, notices.append)
    await reloader.reload_dead()
    del triton.loaded["classifier_fp32_v1"]
    stubs.kill("classifier_fp32_v1")
    await gone(settings, "classifier_fp32_v1")
    await reloader.reload_dead()
    assert (triton.calls, notices) == ([], [])
    assert not await reloader.reload_dead()  # and not asked about again


async def test_a_missing_triton_is_not_reported(
    settings: Settings, stubs: Stubs, notices: list[str]
) -> None:
    """While one starts, processes come and go."""
    reloader = ModelReloader(settings, notices.append)
    assert not await reloader.reload_dead()
    stubs.kill("features")
    await gone(settings, "features")
    assert not await reloader.reload_dead()
    assert notices == []


async def test_a_failing_reload_is_reported(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str]
) -> None:
    reloader = ModelReloader(settings, notices.append)
    await reloader.reload_dead()
    triton.refuse.add("classifier_fp32_v1")
    stubs.kill("classifier_fp32_v1")
    await gone(settings, "classifier_fp32_v1")
    assert not await reloader.reload_dead()
    assert len(notices) == 1
    assert "cannot be reloaded" in notices[0]


async def test_a_running_server_is_watched(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str]
) -> None:
    async with watched(settings, notices) as looks:
        stubs.kill("classifier_fp32_v1")
        await gone(settings, "classifier_fp32_v1")
        await looks.more(2)
    assert set(notices) == {DIED}  # no process takes the place of the dead one here


async def test_a_second_triton_follows_the_changes_of_the_first(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str], tmp_path: Path
) -> None:
    """They share the version folders; each has a repository of its own."""
    (port,) = free_ports(1)
    other = load_settings(data_dir=tmp_path / "other", triton_grpc_port=port, gpu="off")
    other.home.mkdir()
    other.versions_dir.symlink_to(settings.versions_dir)
    async with (
        serving(FakeTriton(other.repository_dir), other) as second,
        watched(other, notices) as looks,
    ):
        second.refuse.add("predict_fp32_v2")
        first = Releases(settings)
        await first.publish(tiny_candidate(tmp_path / "model-2"))
        await looks.more(2)
        assert "version 2 is left out" in notices[0]
        second.refuse.clear()
        await first.activate(2)
        await looks.more(2)
        assert second.loads()[-2:] == ["classifier_fp32", "predict_fp32"]
        assert "predict_fp32_v2" in second.loaded


async def test_unreadable_labels_are_reported_once(
    settings: Settings, stubs: Stubs, triton: FakeTriton, notices: list[str]
) -> None:
    labels = settings.versions_dir / "labels.json"
    async with watched(settings, notices) as looks:
        intact = labels.read_bytes()
        labels.write_bytes(b"{")
        await looks.more(3)
        labels.write_bytes(intact)
        await looks.more(2)
    assert len(notices) == 1
    assert "could not be applied yet" in notices[0]


@pytest.mark.parametrize("trouble", [TimeoutError("late"), OSError(errno.EIO, "stale")], ids=repr)
async def test_following_goes_on_after_a_failed_start(
    settings: Settings,
    triton: FakeTriton,
    notices: list[str],
    monkeypatch: pytest.MonkeyPatch,
    trouble: Exception,
) -> None:
    reconcile, failing = Releases.reconcile, [trouble]

    async def fails_once(self: Releases) -> Labels:
        if failing:
            raise failing.pop()
        return await reconcile(self)

    monkeypatch.setattr(Releases, "reconcile", fails_once)
    triton.loaded.clear()
    async with watched(settings, notices) as looks:
        await looks.more(3)
    assert "predict_fp32" in triton.loaded
    assert len(notices) == 1
