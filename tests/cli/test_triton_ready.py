"""`tezi triton-ready`: its exit code says whether the golden rows come back right."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from preprocess.cli import main
from preprocess.repository.releases import Releases
from preprocess.settings import Settings, load_settings
from tests.graphs import tiny_candidate
from tests.integration.stack import free_ports
from tests.repository.fake_triton import FakeTriton, serving


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (port,) = free_ports(1)
    monkeypatch.setenv("TEZI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TEZI_TRITON_GRPC_PORT", str(port))
    monkeypatch.setenv("TEZI_GPU", "off")
    return load_settings()


@contextmanager
def published(settings: Settings, model: Path) -> Iterator[FakeTriton]:
    """A Triton in another thread, with a stable version."""
    fake, up, done = FakeTriton(settings.repository_dir), threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(fake, settings.triton_grpc_address):
            await Releases(settings).publish(tiny_candidate(model))
            up.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert up.wait(10)
        yield fake
    finally:
        done.set()
        thread.join(10)


def test_ready_is_a_right_answer_and_nothing_else(settings: Settings, tmp_path: Path) -> None:
    with published(settings, tmp_path / "model") as triton:
        ready = CliRunner().invoke(main, ["triton-ready"])
        assert (ready.exit_code, ready.output) == (0, "Triton answers rightly.\n")
        triton.shift = 0.25
        wrong = CliRunner().invoke(main, ["triton-ready"])
        assert wrong.exit_code == 1
        assert "golden row came back wrong" in wrong.output
    gone = CliRunner().invoke(main, ["triton-ready", "--timeout", "0.5"])
    assert gone.exit_code == 1


def test_nothing_published_is_not_ready(settings: Settings) -> None:
    assert CliRunner().invoke(main, ["triton-ready"]).exit_code == 1
