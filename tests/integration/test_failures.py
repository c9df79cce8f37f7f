"""What breaks, and how soon the stack says so and mends it. Each test has a stack of its own."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from preprocess.models.folder import sha256
from preprocess.repository.versions import version_numbers
from preprocess.runtime.triton import region_prefix
from preprocess.settings import Settings
from preprocess.store import open_store
from tests.integration.stack import (
    RunningStack,
    copied,
    fresh_settings,
    running,
    tezi,
)

pytestmark = pytest.mark.triton

NOTICED_WITHIN_S = 5.0


@pytest.fixture
def settings(demo_market: Settings, tmp_path: Path) -> Settings:
    """A copy of the demo market's folder, on other ports."""
    return copied(demo_market.home, tmp_path / "home", cache_predictions=False)


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


def ask(stack: RunningStack, variant: str = "fp32") -> httpx.Response:
    store = open_store(stack.settings)
    listing = max(store.listings(), key=lambda listing: listing.newest_price)
    store.close()
    body = {
        "bse_code": listing.stock.bse_code,
        "prediction_date": listing.newest_price.isoformat(),
        "variant": variant,
    }
    return httpx.post(f"{stack.url}/api/v1/predict", json=body, timeout=10.0, trust_env=False)


@pytest.mark.serial
@pytest.mark.parametrize(
    "model", ["features/1/model.py", "classifier_fp32_v1/1/model.onnx"], ids=["features", "fp32"]
)
def test_a_stub_that_dies_is_noticed_and_its_model_loaded_anew(
    stack: RunningStack, model: str
) -> None:
    before = ask(stack).json()
    (stub,) = children(stack, model)
    (server,) = children(stack, "bin/tritonserver")
    stub.kill()
    assert stack.wait(ready=False, seconds=NOTICED_WITHIN_S) < NOTICED_WITHIN_S
    meanwhile = ask(stack)
    # It may be back before the gateway has asked for the last time.
    if meanwhile.status_code != 200:
        assert meanwhile.status_code == 503
        assert int(meanwhile.headers["Retry-After"]) >= 1
    stack.wait(ready=True, seconds=30.0)
    assert server.is_running()
    assert "had died: it is loaded anew" in stack.output()
    after = ask(stack).json()
    assert after["probability"] == before["probability"]


@pytest.mark.serial
def test_a_variant_that_dies_does_not_touch_the_other(stack: RunningStack) -> None:
    (stub,) = children(stack, "classifier_int8_v1/1/model.onnx")
    stub.kill()
    deadline = time.monotonic() + 30.0
    while "classifier_int8_v1 had died: it is loaded anew" not in stack.output():
        assert ask(stack).status_code == 200
        assert time.monotonic() < deadline
    while ask(stack, "int8").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


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


def test_a_version_that_does_not_load_is_taken_out_again(stack: RunningStack) -> None:
    """A graph that our check can run and the running server cannot."""
    before = ask(stack).json()
    # publishing brings the configs up to date, so it is the running server's backend that fails
    backend = stack.settings.home / "backends" / "onnxruntime" / "model.py"
    backend.write_text("raise RuntimeError('broken on purpose')\n")
    refused = tezi(stack.settings, "publish", check=False)
    assert refused.returncode == 1
    assert "Triton refused version 2" in refused.stderr
    assert version_numbers(stack.settings.versions_dir) == [1]
    assert not list(stack.settings.repository_dir.glob("*_v2"))
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
    with running(copied(stack.settings.home, tmp_path / "b"), covered=False) as other:
        assert ask(other).json()["probability"] == ask(stack).json()["probability"]


def test_a_server_that_does_not_start_says_why(settings: Settings) -> None:
    """The graph is the published one and cannot be loaded: the server's own words come through."""
    folder = settings.versions_dir / "1"
    graph = folder / "fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:1000])
    document = json.loads((folder / "version.json").read_text())
    document["variants"]["fp32"]["sha256"] = sha256(graph)
    (folder / "version.json").write_text(json.dumps(document))
    shutil.rmtree(settings.repository_dir)
    done = tezi(settings, "up", check=False)
    assert done.returncode == 1
    assert "triton did not start" in done.stderr
    assert "classifier_fp32_v1" in done.stderr


def test_without_an_intact_version_nothing_starts(settings: Settings) -> None:
    (settings.versions_dir / "1" / "fp32.onnx").write_bytes(b"")
    done = tezi(settings, "up", check=False)
    assert done.returncode == 1
    assert "version 1 cannot be served" in done.stdout
    assert "`tezi publish` again" in done.stderr
