"""What breaks, and how soon the stack says so and mends it."""

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

from gateway.stack.triton import region_prefix
from preprocess.repository.versions import version_numbers
from preprocess.settings import Settings
from preprocess.store import open_store
from preprocess.training.folder import sha256
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


@pytest.fixture(scope="module")
def mended(
    demo_market: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStack]:
    """A stack that mends whatever a test breaks, and serves the next one."""
    home = tmp_path_factory.mktemp("mended") / "home"
    with running(copied(demo_market.home, home, cache_predictions=False), covered=False) as found:
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
    mended: RunningStack, model: str
) -> None:
    words = f"{model.partition('/')[0]} died; the model was reloaded"
    before = ask(mended).json()
    (stub,) = children(mended, model)
    (server,) = children(mended, "bin/tritonserver")
    stub.kill()
    assert mended.wait(ready=False, seconds=NOTICED_WITHIN_S) < NOTICED_WITHIN_S
    meanwhile = ask(mended)
    # It may be back before the gateway has asked for the last time.
    if meanwhile.status_code != 200:
        assert meanwhile.status_code == 503
        assert int(meanwhile.headers["Retry-After"]) >= 1
    mended.wait(ready=True, seconds=30.0)
    assert server.is_running()
    assert words in mended.output()
    after = ask(mended).json()
    assert after["probability"] == before["probability"]


@pytest.mark.serial
def test_a_variant_that_dies_does_not_touch_the_other(mended: RunningStack) -> None:
    (stub,) = children(mended, "classifier_int8_v1/1/model.onnx")
    stub.kill()
    deadline = time.monotonic() + 30.0
    while "classifier_int8_v1 died; the model was reloaded" not in mended.output():
        assert ask(mended).status_code == 200
        assert time.monotonic() < deadline
    while ask(mended, "int8").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.serial
def test_a_frozen_server_is_noticed_and_replaced(mended: RunningStack) -> None:
    (server,) = children(mended, "bin/tritonserver")
    server.suspend()
    assert mended.wait(ready=False, seconds=10.0) < 10.0
    mended.wait(ready=True, seconds=60.0)
    assert not server.is_running()
    assert ask(mended).status_code == 200


def test_a_gateway_that_dies_is_started_again(mended: RunningStack) -> None:
    (gateway,) = children(mended, "gateway", whole=True)
    gateway.kill()
    gateway.wait(5)
    mended.wait(ready=True, seconds=20.0)
    assert ask(mended).status_code == 200


def test_stopping_leaves_nothing(settings: Settings) -> None:
    """On SIGTERM; every other stack of these tests is stopped by SIGINT."""
    with running(settings, covered=False) as stack:
        family = psutil.Process(stack.process.pid).children(recursive=True)
        assert len(family) >= 4  # the server, two stubs, the gateway
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(timeout=30) == 0
        assert not any(process.is_running() for process in family)
    assert list(Path("/dev/shm").glob(f"{region_prefix(settings)}*")) == []
    assert "stopping" in stack.output()


def test_a_second_stack_on_the_folder_or_the_port_is_refused(
    demo_stack: RunningStack, tmp_path: Path
) -> None:
    same_folder = tezi(demo_stack.settings, "up", check=False)
    assert same_folder.returncode == 1
    assert "Another stack runs on" in same_folder.stderr
    same_port = copied(
        demo_stack.settings.home, tmp_path / "b", http_port=demo_stack.settings.http_port
    )
    refused = tezi(same_port, "up", check=False)
    assert refused.returncode == 1
    assert f"Port {demo_stack.settings.http_port} on 127.0.0.1 is in use" in refused.stderr
    assert "TEZI_HTTP_PORT" in refused.stderr


def test_nothing_to_serve_says_what_to_do(tmp_path: Path) -> None:
    empty = fresh_settings(tmp_path / "empty")
    refused = tezi(empty, "up", check=False)
    assert refused.returncode == 1
    assert "tezi import" in refused.stderr


def test_a_version_that_does_not_load_is_taken_out_again(mended: RunningStack) -> None:
    """A graph that our check can run and the running server cannot."""
    before = ask(mended).json()
    # publishing brings the configs up to date, so it is the running server's backend that fails
    backend = mended.settings.home / "backends" / "onnxruntime" / "model.py"
    whole = backend.read_text()
    backend.write_text("raise RuntimeError('broken on purpose')\n")
    refused = tezi(mended.settings, "publish", check=False)
    backend.write_text(whole)
    assert refused.returncode == 1
    assert "Triton refused version 2" in refused.stderr
    assert version_numbers(mended.settings.versions_dir) == [1]
    assert not list(mended.settings.repository_dir.glob("*_v2"))
    after = ask(mended).json()
    assert (after["model_version"], after["probability"]) == (1, before["probability"])


def test_two_stacks_run_side_by_side(demo_stack: RunningStack, mended: RunningStack) -> None:
    assert ask(mended).json()["probability"] == ask(demo_stack).json()["probability"]


def test_new_prices_are_used_at_once(mended: RunningStack, tmp_path: Path) -> None:
    first = ask(mended).json()
    store = open_store(mended.settings)
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
    assert "1" in tezi(mended.settings, "import", "prices", file).stdout
    assert ask(mended).json()["probability"] != first["probability"]


def test_up_prints_a_request_that_can_be_pasted(demo_stack: RunningStack) -> None:
    while "Ctrl-C stops everything." not in demo_stack.output():
        time.sleep(0.05)
    lines = demo_stack.output().splitlines()
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


def test_a_server_that_does_not_start_says_why(settings: Settings) -> None:
    """The graph is the published one and cannot be loaded: the server's own words come through."""
    folder = settings.versions_dir / "1"
    graph = folder / "fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:1000])
    document = json.loads((folder / "version.json").read_text())
    document["variants"]["fp32"]["sha256"] = sha256(graph)
    (folder / "version.json").write_text(json.dumps(document))
    shutil.rmtree(settings.repository_dir, ignore_errors=True)  # or an intact copy is served
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


def test_nothing_outlives_a_killed_tezi_up(mended: RunningStack) -> None:
    """The last test of this module: the shared stack is gone after it."""
    family = psutil.Process(mended.process.pid).children(recursive=True)
    mended.process.kill()
    mended.process.wait(10)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    for region in Path("/dev/shm").glob(f"{region_prefix(mended.settings)}*"):
        region.unlink()
