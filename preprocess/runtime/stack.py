"""The whole stack on one machine: Triton, the gateways, nginx; each watched, stopped in order."""

import asyncio
import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from preprocess.errors import ServerError
from preprocess.repository.releases import Releases
from preprocess.runtime.gateways import Readiness, gateway_server, is_ready, replicas
from preprocess.runtime.mending import Mender
from preprocess.runtime.nginx import nginx_server
from preprocess.runtime.ports import require_free_ports
from preprocess.runtime.server import find_server
from preprocess.runtime.signals import stop_signal
from preprocess.runtime.stable_check import StableCheck
from preprocess.runtime.supervisor import Patience, Server, Supervisor
from preprocess.runtime.triton import remove_regions, triton_command, triton_environment
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
    server = find_server(settings)
    releases = Releases(settings, notice=notice)
    mender = Mender(settings, notice)

    async def command() -> tuple[str, ...]:
        mender.forget()
        _, models = await releases.prepare_start()
        return triton_command(settings, server, models)

    return Server(
        name="triton",
        command=command,
        environment=triton_environment(settings, server),
        check=StableCheck(settings),
        patience=Patience(
            start=settings.triton_start_timeout_s, interval=settings.probe_interval_s, grace=8.0
        ),
        clean_up=partial(remove_regions, settings),
        on_up=partial(mender.tend, releases),
        mend=mender.mend,
    )


@dataclass(frozen=True)
class Stack:
    """The servers of one machine. Each layer asks the one before it, and is stopped before it."""

    triton: Supervisor
    gateways: Mapping[str, Supervisor]
    nginx: Supervisor | None

    @property
    def layers(self) -> list[list[Supervisor]]:
        """The servers in the order in which they come up."""
        layers = [[self.triton], list(self.gateways.values())]
        return [*layers, [self.nginx]] if self.nginx else layers

    @property
    def parts(self) -> list[Supervisor]:
        """All servers."""
        return [part for layer in self.layers for part in layer]


def make_stack(settings: Settings, *, lines: Lines, notice: Notice) -> Stack:
    """The servers that these settings ask for, not yet started.

    Raises:
        ServerError: Triton or nginx is not installed.
    """
    watched = partial(Supervisor, lines=lines, notice=notice)
    readiness = Readiness()
    return Stack(
        triton=watched(triton_server(settings, notice=notice)),
        gateways={
            name: watched(gateway_server(name, own, readiness))
            for name, own in replicas(settings).items()
        },
        nginx=watched(nginx_server(settings)) if settings.gateways > 1 else None,
    )


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
    with only_stack(settings):
        require_free_ports(settings)
        stack = make_stack(settings, lines=lines, notice=notice)
        stopped = stop_signal()
        lives = [
            [asyncio.create_task(part.run(), name=part.server.name) for part in layer]
            for layer in stack.layers
        ]
        tasks = [task for layer in lives for task in layer]
        announce = asyncio.create_task(_announce(settings, stack.parts, ready))
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
            for layer in reversed(lives):
                for task in layer:
                    task.cancel()
                for task in layer:
                    with suppress(asyncio.CancelledError, ServerError):
                        await task


async def _announce(settings: Settings, parts: list[Supervisor], ready: Callable[[], None]) -> None:
    for part in parts:
        await part.up.wait()
    for url in (*(own.http_url for own in replicas(settings).values()), settings.http_url):
        while not await is_ready(url):
            await asyncio.sleep(0.2)
    ready()


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
