"""A gateway of the profile's own, whose main thread can be sampled."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from preprocess.errors import ServerError
from preprocess.profiling.frames import Frame, busy, read_frame
from preprocess.profiling.gateway_clock import Waits, read_waits
from preprocess.profiling.sampled import SAMPLES_FILE
from preprocess.runtime.ports import LOOPBACK, free_ports
from preprocess.runtime.process import Child
from preprocess.settings import Settings

_START_S = 30.0
_SAMPLES_S = 30.0
_TIMEOUT_S = 5.0


class ProfiledGateway:
    """A running gateway: its address, its metrics, and samples of it."""

    def __init__(self, url: str, child: Child, folder: Path) -> None:
        self.url = url
        self._child = child
        self._samples = folder / SAMPLES_FILE

    async def waits(self) -> Waits:
        """How long it has waited for Triton since it began.

        Raises:
            ServerError: it does not answer.
        """
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
                return read_waits((await client.get(f"{self.url}/metrics")).text)
        except httpx.TransportError as error:
            raise ServerError(f"The gateway does not give its metrics: {error!r}") from None

    def begin_samples(self) -> None:
        """Sample from now on. It takes longer over each request while it is sampled."""
        self._samples.unlink(missing_ok=True)
        os.kill(self._child.pid, signal.SIGUSR1)

    async def end_samples(self, requests: int) -> Frame:
        """The samples since `begin_samples` without waiting, as ms of one of `requests` requests.

        Raises:
            ServerError: it does not write them.
        """
        os.kill(self._child.pid, signal.SIGUSR2)
        deadline = time.monotonic() + _SAMPLES_S
        while not self._samples.exists():
            if time.monotonic() > deadline:
                raise ServerError(f"The gateway gives no samples.{_last_words(self._child)}")
            await asyncio.sleep(0.05)
        document = json.loads(self._samples.read_text(encoding="utf-8"))
        return busy(read_frame(document["root_frame"], requests))

    async def wait_until_ready(self) -> None:
        """Wait until it answers predictions.

        Raises:
            ServerError: it does not within half a minute.
        """
        deadline = time.monotonic() + _START_S
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            while time.monotonic() < deadline:
                with suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/ready")).status_code == 200:
                        return
                await asyncio.sleep(0.1)
        raise ServerError(
            f"The gateway is not ready after {_START_S:g} s.{_last_words(self._child)}"
        )


@asynccontextmanager
async def profiled_gateway(settings: Settings) -> AsyncIterator[ProfiledGateway]:
    """A gateway before the configured Triton, on a free port, until the block ends.

    Raises:
        ServerError: it does not come up.
    """
    (port,) = free_ports(LOOPBACK, 1)
    alone = {"http_host": LOOPBACK, "http_port": port, "cache_predictions": False}
    own = settings.model_copy(update=alone)
    with TemporaryDirectory(prefix="tezi-profile-") as folder:
        child = await Child.start(
            (sys.executable, "-m", "preprocess.profiling.sampled", folder, "gateway"),
            {"GRPC_VERBOSITY": "ERROR", **os.environ, **own.environment()},
            lambda _: None,
        )
        try:
            gateway = ProfiledGateway(own.http_url, child, Path(folder))
            await gateway.wait_until_ready()
            yield gateway
        finally:
            await child.stop(own.drain_s + 2.0)


def _last_words(child: Child) -> str:
    return "".join(f"\n  {line}" for line in child.last_lines)
