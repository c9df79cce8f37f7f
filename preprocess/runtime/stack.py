"""The whole stack on one machine: Triton and the gateway, each watched, stopped in order."""

import asyncio
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import httpx

from preprocess.errors import ServerError
from preprocess.repository.releases import Releases
from preprocess.runtime.mending import Mender
from preprocess.runtime.ports import require_free_ports
from preprocess.runtime.signals import stop_signal
from preprocess.runtime.stable_check import StableCheck
from preprocess.runtime.supervisor import Patience, Server, Supervisor
from preprocess.runtime.triton import remove_regions, triton_command, triton_environment
from preprocess.runtime.wheel import assemble_backends, find_wheel
from preprocess.settings import Settings

Lines = Callable[[str, str], None]
Notice = Callable[[str], None]


def triton_server(settings: Settings, *, notice: Notice) -> Server:
    """Triton with the live model repository; it serves when the golden rows come back right.

    It begins with the stable version; the others are loaded when it is up. A model whose process
    dies is loaded anew; a server that does not answer is replaced.

    Raises:
        ServerError: there is no server to run.
    """
    wheel = find_wheel()
    backends = assemble_backends(wheel, settings.home / "backends")
    releases = Releases(settings, notice=notice)
    mender = Mender(settings, notice)

    async def command() -> tuple[str, ...]:
        mender.forget()
        _, models = await releases.prepare_start()
        return triton_command(settings, wheel, backends, models)

    return Server(
        name="triton",
        command=command,
        environment=triton_environment(settings, wheel),
        check=StableCheck(settings),
        patience=Patience(
            start=settings.triton_start_timeout_s, interval=settings.probe_interval_s, grace=8.0
        ),
        clean_up=partial(remove_regions, settings),
        on_up=partial(mender.tend, releases),
        mend=mender.mend,
    )


def gateway_server(settings: Settings) -> Server:
    """One gateway; it serves while its event loop answers /live."""

    async def live(timeout_s: float) -> None:
        try:
            async with httpx.AsyncClient(timeout=timeout_s, trust_env=False) as client:
                response = await client.get(f"{settings.http_url}/live")
        except httpx.TimeoutException:
            raise TimeoutError(f"no answer within {timeout_s:g} s") from None
        except httpx.TransportError as error:
            raise ServerError(f"the gateway does not answer: {error}") from None
        if response.status_code != 200:
            raise ServerError(f"the gateway answers /live with {response.status_code}")

    async def command() -> tuple[str, ...]:
        return (sys.executable, "-m", "gateway")

    return Server(
        name="gateway",
        command=command,
        # gRPC's C core would print lines of its own about what the gateway logs anyway.
        environment={"GRPC_VERBOSITY": "ERROR", **os.environ, **settings.environment()},
        check=live,
        patience=Patience(
            start=30.0, interval=settings.probe_interval_s, grace=settings.drain_s + 2.0
        ),
    )


async def run_stack(
    settings: Settings,
    *,
    lines: Lines,
    notice: Notice,
    ready: Callable[[], None],
) -> None:
    """Run until SIGINT or SIGTERM, then stop the gateway first and Triton after it.

    `ready` is called once, when a prediction can be asked for.

    Raises:
        ServerError: a port is taken, another stack uses the data folder, or a server does not
            come up.
        ModelError: there is nothing to serve.
    """
    with only_stack(settings):
        require_free_ports(settings)
        triton = Supervisor(triton_server(settings, notice=notice), lines=lines, notice=notice)
        gateway = Supervisor(gateway_server(settings), lines=lines, notice=notice)
        stopped = stop_signal()
        tasks = [
            asyncio.create_task(part.run(), name=part.server.name) for part in (triton, gateway)
        ]
        announce = asyncio.create_task(_announce(settings, [triton, gateway], ready))
        stop = asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait({*tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            notice("stopping")
        finally:
            announce.cancel()
            stop.cancel()
            for task in reversed(tasks):
                task.cancel()
                with suppress(asyncio.CancelledError, ServerError):
                    await task


async def _announce(settings: Settings, parts: list[Supervisor], ready: Callable[[], None]) -> None:
    for part in parts:
        await part.up.wait()
    async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
        while True:
            with suppress(httpx.TransportError):
                if (await client.get(f"{settings.http_url}/ready")).status_code == 200:
                    ready()
                    return
            await asyncio.sleep(0.2)


@contextmanager
def only_stack(settings: Settings) -> Iterator[None]:
    """Hold the data folder: two Tritons on one would share regions and the live repository.

    Raises:
        ServerError: another stack holds it.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerError(
                f"Another stack runs on {settings.home}. Stop it, or give this one a folder and "
                "ports of its own (TEZI_DATA_DIR, TEZI_HTTP_PORT, TEZI_TRITON_*_PORT)."
            ) from None
        yield
