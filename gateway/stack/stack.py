"""Runs a whole stack, or Triton without a gateway; servers are supervised and stopped in order."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.stack.data_folder import only_stack
from gateway.stack.gateways import replicas, wait_until_ready
from gateway.stack.ports import require_free_ports
from gateway.stack.rolling import Rolling
from gateway.stack.servers import Stack, make_stack
from gateway.stack.supervisor import Lines, Notice, Supervisor
from gateway.stack.triton import triton_server
from preprocess.errors import TeziError
from preprocess.repository.versions import require_published, version_numbers
from preprocess.settings import Settings

_POLL_S = 0.5
# Several Tritons that start at once on one data folder take turns to check whether a stack uses it.
_LOCK_WAIT_S = 5.0


async def run_stack(
    settings: Settings,
    *,
    lines: Lines,
    notice: Notice,
    ready: Callable[[], None],
) -> None:
    """Run until SIGINT or SIGTERM, then stop nginx first, the gateways after it, and Triton last.

    `ready` is called once, when the stack can answer a prediction request.

    Raises:
        ServerError: a port is taken, another stack uses the data folder, or a server does not
            come up.
        ModelError: there is nothing to serve.
    """
    stopped = _stop_signal()
    with only_stack(settings):
        require_free_ports(settings)
        stack = make_stack(settings, lines=lines, notice=notice)
        rolling = Rolling(settings, stack, notice=notice)
        layers = [[part.run() for part in layer] for layer in stack.layers]
        async with _running(layers) as lives, rolling.listening():
            announcement = asyncio.create_task(_announce(settings, stack, ready))
            try:
                await _wait_unless_ended(lives, stopped.wait())
                notice("stopping")
            finally:
                announcement.cancel()


@asynccontextmanager
async def triton_alone(settings: Settings, *, lines: Lines, notice: Notice) -> AsyncIterator[None]:
    """Triton serving, supervised as by `tezi up`, until the block ends.

    Raises:
        ServerError: a port is taken, a stack runs on the data folder, or it does not come up.
        ModelError: there is nothing to serve.
    """
    require_published(settings.versions_dir)
    with only_stack(settings):
        require_free_ports(settings, gateway=False)
        triton = Supervisor(triton_server(settings, notice=notice), lines=lines, notice=notice)
        async with _running([[triton.run()]]) as lives:
            await _wait_unless_ended(lives, triton.up.wait())
            yield


async def serve_triton(
    settings: Settings, *, lines: Lines, notice: Notice, heartbeat: Path | None = None
) -> None:
    """Run Triton, supervised as by `tezi up`, until SIGINT or SIGTERM.

    It waits until a first version is published. `heartbeat` is touched each time the golden rows
    are answered correctly. Several of these, in containers of their own, may serve one data folder.

    Raises:
        ServerError: a port is taken, a stack runs on the data folder, or it does not come up.
        ModelError: none of the published versions is intact.
    """
    stopped = _stop_signal()
    with only_stack(settings, wait_s=_LOCK_WAIT_S):
        require_free_ports(settings, gateway=False)
    server = triton_server(settings, notice=notice, keep_key=True)
    if heartbeat is not None:
        server = replace(server, check=touching(server.check, heartbeat))

    async def life() -> None:
        await _first_version(settings, notice)
        await Supervisor(server, lines=lines, notice=notice).run()

    async with _running([[life()]]) as lives:
        await _wait_unless_ended(lives, stopped.wait())
        notice("stopping")


def touching(
    check: Callable[[float], Awaitable[object]], file: Path
) -> Callable[[float], Awaitable[None]]:
    """A check that also touches `file` whenever it passes, so the file's age is the check's age.

    A health probe with a command of its own would start Python and spend half a second of a core
    on what the supervisor has just found out.
    """

    async def checked(timeout_s: float) -> None:
        await check(timeout_s)
        file.touch()

    return checked


def _stop_signal() -> asyncio.Event:
    """An event that SIGINT or SIGTERM sets, in the running loop."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    return event


@asynccontextmanager
async def _running(
    layers: list[list[Coroutine[Any, Any, None]]],
) -> AsyncIterator[list["asyncio.Task[None]"]]:
    """The tasks of these supervisors; at the end they are stopped, the last layer first."""
    tasks = [[asyncio.create_task(work) for work in layer] for layer in layers]
    try:
        yield [task for layer in tasks for task in layer]
    finally:
        for layer in reversed(tasks):
            for task in layer:
                task.cancel()
            for task in layer:
                with suppress(asyncio.CancelledError, TeziError):
                    await task


async def _wait_unless_ended(
    lives: list["asyncio.Task[None]"], wanted: Coroutine[Any, Any, object]
) -> None:
    """Wait for `wanted`; raise the error of a supervisor that ends before it."""
    waiting = asyncio.create_task(wanted)
    try:
        await asyncio.wait({*lives, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            for life in lives:
                if life.done():
                    life.result()
    finally:
        waiting.cancel()


async def _announce(settings: Settings, stack: Stack, ready: Callable[[], None]) -> None:
    for part in stack.parts:
        await part.up.wait()
    urls = [own.http_url for own in replicas(settings).values()]
    await wait_until_ready([*urls, settings.http_url])
    ready()


async def _first_version(settings: Settings, notice: Notice) -> None:
    if version_numbers(settings.versions_dir):
        return
    notice(f"waiting until a first version is published in {settings.versions_dir}")
    while not version_numbers(settings.versions_dir):
        await asyncio.sleep(_POLL_S)
