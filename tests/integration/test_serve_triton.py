"""Triton alone, as a container runs it: waits for a version, says that it serves, and ends."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gateway.stack.wheel import assemble_backends, find_wheel
from preprocess.settings import Settings
from tests.integration.stack import TEZI, copied, environment

pytestmark = pytest.mark.triton


def until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


@pytest.fixture
def settings(demo_market: Settings, tmp_path: Path) -> Settings:
    """A market whose versions are not there yet, and a Triton that is installed somewhere."""
    root = tmp_path / "tritonserver"
    wheel = find_wheel()
    assemble_backends(wheel, root / "backends")
    (root / "bin").mkdir()
    (root / "bin" / "tritonserver").symlink_to(wheel.server)
    found = copied(demo_market.home, tmp_path / "home", triton_root=str(root))
    found.versions_dir.rename(tmp_path / "versions")
    return found


@pytest.fixture
def served(settings: Settings, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    libraries = str(find_wheel().libraries)
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            [str(TEZI), "serve-triton", "--verbose", "--heartbeat", str(tmp_path / "heartbeat")],
            env={**environment(settings), "LD_LIBRARY_PATH": libraries},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


def servers(of: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    found = []
    for child in psutil.Process(of.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if child.name() == "tritonserver":
                found.append(child)
    return found


def test_a_life(settings: Settings, served: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    heartbeat, output = tmp_path / "heartbeat", tmp_path / "output"

    def said(text: str) -> int:
        return output.read_text("utf-8", errors="replace").count(text)

    until(lambda: said("waiting until a first version is published") == 1)
    assert servers(served) == []
    (tmp_path / "versions").rename(settings.versions_dir)
    until(lambda: said("triton: up after") == 1)
    until(heartbeat.exists)
    (server,) = servers(served)
    assert server.exe() == os.path.realpath(find_wheel().server)

    served.send_signal(signal.SIGTERM)
    assert served.wait(timeout=20) == 0
    assert said("stopping") == 1
    assert not psutil.pid_exists(server.pid)
