"""Two gateways behind nginx under load: one is killed, hangs, ends; they are started anew.

Every answer is kept and compared with what the model says: none may fail, and none may be wrong.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import httpx
import psutil
import pytest

from preprocess.repository.stable import stable_version
from preprocess.settings import Settings
from tests.integration.stack import RunningStack, copied, fresh_settings, running, tezi
from tests.integration.test_failures import children
from tests.performance.bench_serve import fresh_pairs
from tests.performance.open_loop import Answer, Request, open_loop
from tests.performance.version_answers import VersionAnswers

pytestmark = [pytest.mark.triton, pytest.mark.serial]

RATE = 100.0


@dataclass(frozen=True)
class Served:
    """A stack with two gateways, and what it must answer."""

    stack: RunningStack
    expected: VersionAnswers
    model_id: str

    @property
    def settings(self) -> Settings:
        return self.stack.settings

    def gateways(self) -> list[psutil.Process]:
        return children(self.stack, "gateway", whole=True)

    def told(self, words: str) -> int:
        """How often `tezi up` has said so."""
        return self.stack.output().count(words)

    async def under_load(self, what: Callable[[], Awaitable[object]]) -> list[Answer]:
        """Do it while predictions are asked for; all answers, none of them failed or wrong."""
        stop = asyncio.Event()
        load = asyncio.create_task(
            open_loop(self.stack.url, self.expected.requests, rate=RATE, until=stop)
        )
        try:
            await asyncio.sleep(0.5)
            await what()
            await asyncio.sleep(0.5)
        finally:
            stop.set()
        answers = await load
        failed = [answer for answer in answers if answer.status != 200]
        assert failed == [], failed[0]
        wrong = [a for a in answers if not self.expected.is_right(a, self.model_id)]
        assert wrong == [], wrong[0]
        return answers


@pytest.fixture(scope="module")
def served(demo_market: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = copied(demo_market.home, tmp_path_factory.mktemp("replicas"), gateways=2)
    pairs = islice(fresh_pairs(settings, 500), 500)
    stable = stable_version(settings.versions_dir)
    requests = [Request(code, day) for code, day in pairs]
    with running(settings, covered=False) as stack:
        yield Served(stack, VersionAnswers(settings, requests, [stable.model_id]), stable.model_id)


def nginx(stack: RunningStack) -> psutil.Process:
    """The master process."""
    return psutil.Process(int((stack.settings.nginx_dir / "nginx.pid").read_text()))


async def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "drained"])
async def test_a_gateway_that_ends_fails_no_request(served: Served, number: signal.Signals) -> None:
    up, restarts = served.told(": up after"), served.told("restarting it")

    async def end_one() -> None:
        served.gateways()[0].send_signal(number)
        await until(lambda: served.told(": up after") == up + 1, 15.0)

    await served.under_load(end_one)
    assert served.told("restarting it") == restarts + 1


async def test_a_gateway_that_hangs_fails_no_request(served: Served) -> None:
    async def hang() -> None:
        gateway = served.gateways()[1]
        gateway.suspend()
        await asyncio.sleep(4.0)  # longer than nginx waits for one gateway
        gateway.resume()

    await served.under_load(hang)


async def test_gateways_and_nginx_are_started_anew_and_no_request_fails(served: Served) -> None:
    gateways, workers = set(served.gateways()), set(nginx(served.stack).children())

    async def restart() -> None:
        for part in ("gateways", "nginx"):
            done = await asyncio.to_thread(tezi, served.settings, "restart", part, covered=False)
            assert done.stdout == f"Restarted: {part}.\n"

    await served.under_load(restart)
    assert len(served.gateways()) == 2
    assert not gateways & set(served.gateways())
    await until(lambda: not workers & set(nginx(served.stack).children()), 5.0)


async def test_triton_is_started_anew(served: Served) -> None:
    servers = set(children(served.stack, "bin/tritonserver"))
    await asyncio.to_thread(tezi, served.settings, "restart", "triton", covered=False)
    after = children(served.stack, "bin/tritonserver")
    assert len(after) == 1
    assert not servers & set(after)

    def is_right() -> bool:
        return httpx.get(f"{served.stack.url}/ready", trust_env=False).status_code == 200

    await until(is_right, 20.0)

    async def nothing() -> None:
        pass

    await served.under_load(nothing)


def test_a_restart_needs_a_stack(tmp_path: Path) -> None:
    refused = tezi(fresh_settings(tmp_path), "restart", check=False)
    assert refused.returncode == 1
    assert "No stack runs on" in refused.stderr


def test_nginx_that_dies_is_replaced_with_its_workers(served: Served) -> None:
    master = nginx(served.stack)
    workers = master.children()
    up = served.told("nginx: up")
    master.kill()
    deadline = time.monotonic() + 10.0
    while served.told("nginx: up") == up:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert httpx.get(f"{served.stack.url}/live", trust_env=False).status_code == 200
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert alive == []


def test_a_port_that_is_taken_is_named(served: Served, tmp_path: Path) -> None:
    settings = copied(
        served.settings.home,
        tmp_path / "second",
        gateways=2,
        gateway_base_port=served.settings.gateway_base_port,
    )
    refused = tezi(settings, "up", check=False)
    assert refused.returncode == 1
    assert "TEZI_GATEWAY_BASE_PORT" in refused.stderr
