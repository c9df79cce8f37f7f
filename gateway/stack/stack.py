"""The whole stack on one machine: Triton, the gateways, nginx; each watched, stopped in order."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from gateway.stack.data_folder import only_stack
from gateway.stack.gateways import is_ready, replicas
from gateway.stack.ports import require_free_ports
from gateway.stack.rolling import Rolling
from gateway.stack.servers import Lines, Notice, Stack, make_stack
from gateway.stack.signals import stop_signal
from gateway.stack.supervisor import Supervisor
from preprocess.errors import TeziError
from preprocess.settings import Settings


async def run_stack(
    settings: Settings,
    *,
    lines: Lines,
    notice: Notice,
    ready: Callable[[], None],
) -> None:
    """Run until SIGINT or SIGTERM, then stop nginx first, the gateways after it, and Triton last.

    `ready` is called once, when a prediction can be asked for.

    Raises:
        ServerError: a port is taken, another stack uses the data folder, or a server does not
            come up.
        ModelError: there is nothing to serve.
    """
    stopped = stop_signal()
    with only_stack(settings):
        require_free_ports(settings)
        stack = make_stack(settings, lines=lines, notice=notice)
        rolling = Rolling(settings, stack, notice=notice)
        async with _alive(stack, notice) as lives, rolling.listening():
            announce = asyncio.create_task(_announce(settings, stack.parts, ready))
            stop = asyncio.create_task(stopped.wait())
            try:
                await asyncio.wait({*lives, stop}, return_when=asyncio.FIRST_COMPLETED)
                # What ends when everything is told to end is no trouble.
                for life in lives:
                    if life.done() and not stopped.is_set():
                        life.result()
            finally:
                announce.cancel()
                stop.cancel()


@asynccontextmanager
async def _alive(stack: Stack, notice: Notice) -> AsyncIterator[list["asyncio.Task[None]"]]:
    """The tasks in which the servers live; at the end they are stopped, layer by layer."""
    layers = [
        [asyncio.create_task(part.run(), name=part.server.name) for part in layer]
        for layer in stack.layers
    ]
    try:
        yield [life for layer in layers for life in layer]
        notice("stopping")
    finally:
        for layer in reversed(layers):
            for life in layer:
                life.cancel()
            for life in layer:
                with suppress(asyncio.CancelledError, TeziError):
                    await life


async def _announce(settings: Settings, parts: list[Supervisor], ready: Callable[[], None]) -> None:
    for part in parts:
        await part.up.wait()
    for url in (*(own.http_url for own in replicas(settings).values()), settings.http_url):
        while not await is_ready(url):
            await asyncio.sleep(0.2)
    ready()
