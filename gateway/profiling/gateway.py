"""A gateway of the profile's own, and flame graphs of it by py-spy."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import httpx

from gateway.stack.ports import LOOPBACK, free_ports
from gateway.stack.process import Child
from preprocess.errors import ServerError
from preprocess.settings import Settings

_START_S = 30.0
_DRAWN_S = 30.0
_RATE = "1000"  # samples a second: a request spends less than a millisecond in a gateway


def flame_graph_command() -> str | None:
    """The py-spy of this environment; None where there is none."""
    program = Path(sys.executable).with_name("py-spy")
    return str(program) if program.is_file() else None


@contextmanager
def flame_graph(pid: int, target: Path) -> Iterator[bool]:
    """Have py-spy watch a process until the block ends, and draw `target`; False without py-spy.

    Whether it may look at the process is the system's choice; if not, no picture is drawn.
    """
    program = flame_graph_command()
    if program is None:
        yield False
        return
    command = [program, "record", "--pid", str(pid), "--nonblocking", "--gil"]
    command += ["--rate", _RATE, "--duration", "3600", "--output", str(target)]
    target.unlink(missing_ok=True)
    with subprocess.Popen(  # noqa: S603 - a program of this environment
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as spy:
        try:
            yield True
        finally:
            spy.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                spy.wait(_DRAWN_S)
            spy.kill()


@asynccontextmanager
async def own_gateway(settings: Settings) -> AsyncIterator[tuple[str, int]]:
    """A gateway before the configured Triton, on a free port, until the block ends; URL and pid.

    Raises:
        ServerError: it does not come up.
    """
    (port,) = free_ports(LOOPBACK, 1)
    own = settings.model_copy(
        update={"http_host": LOOPBACK, "http_port": port, "cache_predictions": False}
    )
    child = await Child.start(
        (sys.executable, "-m", "gateway"), {**os.environ, **own.environment()}, lambda _: None
    )
    try:
        deadline = time.monotonic() + _START_S
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
            while True:
                with suppress(httpx.TransportError):
                    if (await client.get(f"{own.http_url}/ready")).status_code == 200:
                        break
                if time.monotonic() > deadline:
                    words = "".join(f"\n  {line}" for line in child.last_lines)
                    raise ServerError(f"The gateway is not ready after {_START_S:g} s.{words}")
                await asyncio.sleep(0.1)
        yield own.http_url, child.pid
    finally:
        await child.stop(own.drain_s + 2.0)
