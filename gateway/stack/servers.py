"""What a stack on one machine is made of: Triton, the gateways, nginx."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from gateway.stack.gateways import Readiness, gateway_server, replicas
from gateway.stack.mending import Mender
from gateway.stack.nginx import nginx_server
from gateway.stack.server import find_server
from gateway.stack.stable_check import StableCheck
from gateway.stack.supervisor import Patience, Server, Supervisor
from gateway.stack.triton import remove_regions, triton_command, triton_environment
from preprocess.repository.releases import Releases
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
            name: watched(gateway_server(name, own, readiness, several=settings.gateways > 1))
            for name, own in replicas(settings).items()
        },
        nginx=watched(nginx_server(settings)) if settings.gateways > 1 else None,
    )
