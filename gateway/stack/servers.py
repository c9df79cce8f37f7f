"""The servers that make up a stack on one machine: Triton, the gateways, nginx."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from gateway.stack.gateways import Readiness, gateway_server, replicas
from gateway.stack.nginx import nginx_server
from gateway.stack.supervisor import Lines, Notice, Supervisor
from gateway.stack.triton import triton_server
from preprocess.settings import Settings


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
    readiness: Readiness = {}
    return Stack(
        triton=watched(triton_server(settings, notice=notice)),
        gateways={
            name: watched(gateway_server(name, own, readiness, several=settings.gateways > 1))
            for name, own in replicas(settings).items()
        },
        nginx=watched(nginx_server(settings)) if settings.gateways > 1 else None,
    )
