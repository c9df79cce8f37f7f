"""The whole stack on one machine: Triton, the gateways, nginx; each watched, stopped in order."""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial

from preprocess.errors import ServerError, TeziError
from preprocess.runtime.control import Control
from preprocess.runtime.gateways import is_ready, replicas
from preprocess.runtime.ports import require_free_ports
from preprocess.runtime.rolling import PARTS, Rolling
from preprocess.runtime.servers import Lines, Notice, Stack, make_stack
from preprocess.runtime.signals import stop_signal
from preprocess.runtime.supervisor import Supervisor
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

        def tell(text: str) -> None:
            notice(text)
            control.notice(text)

        stack = make_stack(settings, lines=lines, notice=tell)
        rolling = Rolling(settings, stack, lines=lines, notice=tell)
        control = Control({f"restart {part}": partial(rolling.restart, part) for part in PARTS})
        async with _alive(stack, notice) as lives, control.listening(settings):
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


@contextmanager
def only_stack(settings: Settings, *, shared: bool = False) -> Iterator[None]:
    """Hold the data folder: two Tritons on one machine would take the other's models for theirs.

    `shared` is for a Triton by itself, in a container with processes and shared memory of its own:
    others like it may be on the folder, and a whole stack may not.

    Raises:
        ServerError: another stack holds it.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerError(
                f"Another stack runs on {settings.home}. Stop it, or give this one a folder and "
                "ports of its own (TEZI_DATA_DIR, TEZI_HTTP_PORT, TEZI_TRITON_*_PORT)."
            ) from None
        yield
