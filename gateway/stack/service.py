"""Triton without a gateway: beside a command that needs it, or as what a container runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.stack.data_folder import only_stack
from gateway.stack.ports import require_free_ports
from gateway.stack.servers import Lines, Notice, triton_server
from gateway.stack.signals import stop_signal
from gateway.stack.supervisor import Supervisor
from preprocess.errors import ServerError
from preprocess.repository.versions import version_numbers
from preprocess.settings import Settings

_LOOK_S = 0.5
# Several that start at once on one data folder look by turns whether a stack has it.
_TURN_S = 5.0


@asynccontextmanager
async def triton_alone(settings: Settings, *, lines: Lines, notice: Notice) -> AsyncIterator[None]:
    """Triton serving, watched as `tezi up` watches it, until the block ends.

    Raises:
        ServerError: a port is taken, a stack runs on the data folder, or it does not come up.
        ModelError: there is nothing to serve.
    """
    with only_stack(settings):
        require_free_ports(settings, gateway=False)
        triton = Supervisor(triton_server(settings, notice=notice), lines=lines, notice=notice)
        async with _alive(triton.run()) as life:
            await _wait_beside(life, triton.up.wait())
            yield


async def serve_triton(
    settings: Settings, *, lines: Lines, notice: Notice, heartbeat: Path | None = None
) -> None:
    """Run Triton, watched as `tezi up` watches it, until SIGINT or SIGTERM.

    Until a first version is published it waits. `heartbeat` is touched each time that the golden
    rows come back right. In containers of their own several serve one data folder.

    Raises:
        ServerError: a port is taken, a stack runs on the data folder, or it does not come up.
        ModelError: none of the published versions is intact.
    """
    stopped = stop_signal()
    with only_stack(settings, wait_s=_TURN_S):
        require_free_ports(settings, gateway=False)
    server = triton_server(settings, notice=notice)
    if heartbeat is not None:
        server = replace(server, check=touching(server.check, heartbeat))

    async def life() -> None:
        await _first_version(settings, notice)
        await Supervisor(server, lines=lines, notice=notice).run()

    async with _alive(life()) as serving:
        await _wait_beside(serving, stopped.wait())
        notice("stopping")


def touching(
    check: Callable[[float], Awaitable[object]], file: Path
) -> Callable[[float], Awaitable[None]]:
    """`check`, which touches a file each time that it passes: its age is that of the answer.

    A probe that asked by a command of its own would start Python, and half a second of a core's
    time, for what the supervisor has just found out.
    """

    async def checked(timeout_s: float) -> None:
        await check(timeout_s)
        file.touch()

    return checked


@asynccontextmanager
async def _alive(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    life = asyncio.create_task(work, name="triton")
    try:
        yield life
    finally:
        life.cancel()
        with suppress(asyncio.CancelledError, ServerError):
            await life


async def _wait_beside(life: "asyncio.Task[None]", wanted: Coroutine[Any, Any, object]) -> None:
    """Wait for `wanted`; raise what has ended `life` before."""
    waiting = asyncio.create_task(wanted)
    try:
        await asyncio.wait({life, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            life.result()
    finally:
        waiting.cancel()


async def _first_version(settings: Settings, notice: Notice) -> None:
    if version_numbers(settings.versions_dir):
        return
    notice(f"waiting until a first version is published in {settings.versions_dir}")
    while not version_numbers(settings.versions_dir):
        await asyncio.sleep(_LOOK_S)
