"""config/docker/balance: nginx follows its gateways, and what they say at /ready."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway.stack.nginx import INCLUDES
from tests.config.replica import Replica, replicas
from tests.integration.stack import free_ports
from tests.nginx import shipped
from tests.paths import PROJECT_ROOT

pytestmark = pytest.mark.skipif(
    any(shutil.which(name, path="/usr/sbin:/usr/bin") is None for name in ("nginx", "curl")),
    reason="nginx or curl is not installed",
)
PREDICT = "/api/v1/predict"
# The machine may have much else to do.
LIMIT_S = 60.0


@dataclass
class Balanced:
    """nginx under the script, before two replicas."""

    script: asyncio.subprocess.Process
    config: Path
    output: Path
    client: httpx.AsyncClient
    one: Replica
    other: Replica

    async def asked(self) -> tuple[int, int]:
        """How many of ten predictions each replica got; all of them are answered."""
        before = self.one.asked[PREDICT], self.other.asked[PREDICT]
        for _ in range(10):
            assert (await self.client.post(PREDICT, json={})).status_code == 200
        return self.one.asked[PREDICT] - before[0], self.other.asked[PREDICT] - before[1]


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not await happened():
            await asyncio.sleep(0.05)


@pytest.fixture
async def balanced(tmp_path: Path) -> AsyncIterator[Balanced]:
    config, (port,) = shipped(tmp_path / "config"), free_ports(1)
    (config / INCLUDES / "main.conf").write_text(f"user {tmp_path.owner()};\n")
    output = tmp_path / "output.log"
    async with replicas() as (one, other):
        with output.open("wb") as log:
            script = await asyncio.create_subprocess_exec(
                *("sh", str(PROJECT_ROOT / "config" / "docker" / "balance")),
                env={
                    "PATH": f"{os.environ['PATH']}:/usr/sbin",
                    "GATEWAYS": f"127.0.0.1:{one.port} localhost:{other.port}",
                    "LISTEN": f"127.0.0.1:{port}",
                    "CONFIG": str(config),
                    "RUN": str(tmp_path / "run"),
                    "CHECK_EVERY_S": "0.1",
                    "LEAVE_S": "0.1",
                },
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
            )
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0) as client:
            both = Balanced(script, config, output, client, one, other)

            async def answers() -> bool:
                try:
                    return (await client.get("/live")).status_code == 200
                except httpx.TransportError:
                    return False

            try:
                await until(answers)
                yield both
            finally:
                script.terminate()
                await script.wait()


async def test_a_gateway_that_is_not_ready_gets_no_requests(balanced: Balanced) -> None:
    async def left_out() -> bool:
        return await balanced.asked() == (10, 0)

    async def both() -> bool:
        return min(await balanced.asked()) > 0

    await until(both)
    balanced.other.statuses["/ready"] = 503
    await until(left_out)
    balanced.one.statuses["/ready"] = 503  # none is ready: both are asked
    await until(both)
    balanced.other.statuses.clear()
    balanced.one.statuses.clear()
    await until(both)


async def test_a_signal_reloads_the_configuration_unless_it_is_wrong(
    balanced: Balanced,
) -> None:
    headers = balanced.config / INCLUDES / "headers.conf"
    right = headers.read_text("utf-8")

    async def refused() -> bool:
        return "goes on with the configuration of before" in balanced.output.read_text("utf-8")

    async def changed() -> bool:
        return bool((await balanced.client.get("/live")).headers.get("x-changed") == "yes")

    headers.write_text("no_such_directive on;\n")
    balanced.script.send_signal(signal.SIGHUP)
    await until(refused)
    assert await balanced.asked() != (0, 0)
    headers.write_text(f"{right}add_header X-Changed yes always;\n")
    balanced.script.send_signal(signal.SIGHUP)
    await until(changed)
