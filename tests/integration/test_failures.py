"""What breaks, and how soon the stack says so and mends it. Each test has a stack of its own."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from preprocess.repository.versions import classifier_name
from preprocess.runtime.triton import region_prefix
from preprocess.settings import Settings
from preprocess.store import open_store
from tests.integration.stack import (
    TEZI,
    RunningStack,
    copied,
    environment,
    fresh_settings,
    running,
    tezi,
)

pytestmark = pytest.mark.triton

NOTICED_WITHIN_S = 5.0


@pytest.fixture
def settings(demo_market: Settings, tmp_path: Path) -> Settings:
    """A copy of the demo market's folder, on other ports."""
    return copied(demo_market.home, tmp_path / "home")


@pytest.fixture
def stack(settings: Settings) -> Iterator[RunningStack]:
    with running(settings, covered=False) as found:
        yield found


def children(stack: RunningStack, name: str, *, whole: bool = False) -> list[psutil.Process]:
    """Processes under `tezi up` with `name` in a word of their command line, or as a word."""
    found = []
    for process in psutil.Process(stack.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            words = process.cmdline()
            if name in words or (not whole and any(name in word for word in words)):
                found.append(process)
    return found


def newest(stack: RunningStack) -> dict[str, str]:
    """A request for the stock with the newest price, as of its day."""
    store = open_store(stack.settings)
    listing = max(store.listings(), key=lambda listing: listing.newest_price)
    store.close()
    return {
        "bse_code": listing.stock.bse_code,
        "prediction_date": listing.newest_price.isoformat(),
    }


def ask(stack: RunningStack) -> httpx.Response:
    url = f"{stack.url}/api/v1/predict"
    return httpx.post(url, json=newest(stack), timeout=10.0, trust_env=False)


@pytest.mark.serial
@pytest.mark.parametrize("model", ["features/1/model.py", "classifier_fp32/1/model.onnx"])
def test_a_stub_that_dies_is_noticed_and_the_server_replaced(
    stack: RunningStack, model: str
) -> None:
    before = ask(stack).json()
    (stub,) = children(stack, model)
    (server,) = children(stack, "bin/tritonserver")
    stub.kill()
    assert stack.wait(ready=False, seconds=NOTICED_WITHIN_S) < NOTICED_WITHIN_S
    refused = ask(stack)
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    stack.wait(ready=True, seconds=30.0)
    assert not server.is_running()
    after = ask(stack).json()
    assert after["probability"] == before["probability"]


@pytest.mark.serial
def test_a_frozen_server_is_noticed_and_replaced(stack: RunningStack) -> None:
    (server,) = children(stack, "bin/tritonserver")
    server.suspend()
    assert stack.wait(ready=False, seconds=10.0) < 10.0
    stack.wait(ready=True, seconds=60.0)
    assert ask(stack).status_code == 200


def test_a_gateway_that_dies_is_started_again(stack: RunningStack) -> None:
    (gateway,) = children(stack, "gateway", whole=True)
    gateway.kill()
    gateway.wait(5)
    stack.wait(ready=True, seconds=20.0)
    assert ask(stack).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_nothing(settings: Settings, number: signal.Signals) -> None:
    with running(settings, covered=False) as stack:
        family = psutil.Process(stack.process.pid).children(recursive=True)
        assert len(family) >= 4  # the server, two stubs, the gateway
        stack.process.send_signal(number)
        assert stack.process.wait(timeout=30) == 0
        assert not any(process.is_running() for process in family)
    assert list(Path("/dev/shm").glob(f"{region_prefix(settings)}*")) == []
    assert "stopping" in stack.output()


def test_nothing_outlives_a_killed_tezi_up(settings: Settings) -> None:
    with running(settings, covered=False) as stack:
        family = psutil.Process(stack.process.pid).children(recursive=True)
        stack.process.kill()
        stack.process.wait(10)
        _, alive = psutil.wait_procs(family, timeout=20)
        assert alive == []
    for region in Path("/dev/shm").glob(f"{region_prefix(settings)}*"):
        region.unlink()


def test_a_second_stack_on_the_folder_or_the_port_is_refused(
    stack: RunningStack, tmp_path: Path
) -> None:
    same_folder = tezi(stack.settings, "up", check=False)
    assert same_folder.returncode == 1
    assert "Another stack runs on" in same_folder.stderr
    same_port = copied(stack.settings.home, tmp_path / "b", http_port=stack.settings.http_port)
    refused = tezi(same_port, "up", check=False)
    assert refused.returncode == 1
    assert f"Port {stack.settings.http_port} on 127.0.0.1 is in use" in refused.stderr
    assert "TEZI_HTTP_PORT" in refused.stderr


def test_nothing_to_serve_says_what_to_do(tmp_path: Path) -> None:
    empty = fresh_settings(tmp_path / "empty")
    refused = tezi(empty, "up", check=False)
    assert refused.returncode == 1
    assert "tezi import" in refused.stderr


def test_a_new_version_is_swapped_in_while_requests_run(stack: RunningStack) -> None:
    """Every request is answered, by a version that is there, and in the end by the new one."""
    for arguments in (("train", "--seed", 7), ("export",)):
        tezi(stack.settings, *arguments, covered=False)
    body = newest(stack)
    answers: list[tuple[int, int | None, float | None]] = []
    stop = threading.Event()

    def load() -> None:
        with httpx.Client(timeout=10.0, trust_env=False) as client:
            while not stop.is_set():
                response = client.post(f"{stack.url}/api/v1/predict", json=body)
                found = response.json()
                answers.append(
                    (response.status_code, found.get("model_version"), found.get("probability"))
                )

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        done = tezi(stack.settings, "publish")
        time.sleep(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=20)
    assert "serves it now" in done.stdout
    assert {status for status, _, _ in answers} == {200}
    assert answers[0][1] == 1
    assert answers[-1][1] == 2
    by_version = {version: {p for _, v, p in answers if v == version} for version in (1, 2)}
    assert all(len(found) == 1 for found in by_version.values())
    assert by_version[1] != by_version[2]


def test_a_version_that_does_not_load_is_taken_out_again(stack: RunningStack) -> None:
    """A graph that our check can run and Triton's config does not fit."""
    before = ask(stack).json()
    config = stack.settings.repository_dir / "classifier_fp32" / "config.pbtxt"
    good = config.read_text()
    # publishing brings the configs up to date, so it is the running server's backend that fails
    backend = stack.settings.home / "backends" / "onnxruntime" / "model.py"
    backend.write_text("raise RuntimeError('broken on purpose')\n")
    refused = tezi(stack.settings, "publish", check=False)
    assert refused.returncode == 1
    assert "Triton refused version 2" in refused.stderr
    assert config.read_text() == good
    folder = stack.settings.repository_dir / classifier_name("fp32")
    assert [entry.name for entry in folder.iterdir() if entry.is_dir()] == ["1"]
    after = ask(stack).json()
    assert (after["model_version"], after["probability"]) == (1, before["probability"])


def test_new_prices_are_used_at_once(stack: RunningStack, tmp_path: Path) -> None:
    first = ask(stack).json()
    store = open_store(stack.settings)
    history = store.history(first["bse_code"])
    store.close()
    assert history is not None
    last = history.prices[-1:]
    file = tmp_path / "correction.csv"
    close = round(float(last.close[0]) * 1.01, 2)
    file.write_text(
        "bse_code,date,open,high,low,close,volume\n"
        f"{first['bse_code']},{first['as_of']},{close},{close},{close},{close},12345\n"
    )
    assert "1" in tezi(stack.settings, "import", "prices", file).stdout
    assert ask(stack).json()["probability"] != first["probability"]


def test_up_prints_a_request_that_can_be_pasted(stack: RunningStack) -> None:
    while "Ctrl-C stops everything." not in stack.output():
        time.sleep(0.05)
    lines = stack.output().splitlines()
    start = next(place for place, line in enumerate(lines) if "curl -s" in line)
    command = lines[start].rstrip("\\") + lines[start + 1]
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        env=dict(os.environ),
    )
    assert '"probability":' in done.stdout


def test_two_stacks_run_side_by_side(stack: RunningStack, tmp_path: Path) -> None:
    other_settings = copied(stack.settings.home, tmp_path / "b")
    with running(other_settings, covered=False) as other:
        assert ask(other).json()["probability"] == ask(stack).json()["probability"]


def test_a_server_that_does_not_start_says_why(settings: Settings) -> None:
    """The version on disk is damaged: the server's own words reach the user."""
    broken = settings.repository_dir / "classifier_fp32" / "1" / "model.onnx"
    broken.write_bytes(broken.read_bytes()[:1000])
    done = subprocess.run(
        [str(TEZI), "up"],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "triton did not start" in done.stderr
    assert "classifier_fp32" in done.stderr
