"""The gateways: one that clients reach directly, or several on their own ports behind nginx."""

import asyncio
import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from gateway.stack.ports import LOOPBACK, status_of
from gateway.stack.supervisor import HealthPolicy, Server
from preprocess.errors import ServerError
from preprocess.settings import Settings

# How long one gateway may be not ready while another is; longer than their probes can differ.
_LAG_S = 10.0
# Late answers in a row before a restart, which costs less where other gateways keep answering.
_LATE_OF_ONE, _LATE_OF_SEVERAL = 5, 3
_OK = 200


def replicas(settings: Settings) -> Mapping[str, Settings]:
    """Settings of each gateway by its name."""
    if settings.gateways == 1:
        return {"gateway": settings}
    return {
        f"gateway{number}": settings.model_copy(
            update={
                "http_host": LOOPBACK,
                "http_port": port,
                "gateways": 1,
                "trusted_proxies": LOOPBACK,  # nginx, which looks through those before it
            }
        )
        for number, port in enumerate(settings.gateway_ports, start=1)
    }


Readiness = dict[str, tuple[bool, float]]
"""Of each gateway: its last /ready result, and when it last did not lag behind another."""


def gateway_server(
    name: str,
    settings: Settings,
    readiness: Readiness,
    *,
    several: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Server:
    """One gateway, one of `several` or the only one; it is up while it answers /ready at all.

    While Triton is down no gateway is ready, and restarting them would not help. A gateway that is
    not ready although another is has a fault of its own.
    """

    async def check(timeout_s: float) -> None:
        ready = await status_of(f"{settings.http_url}/ready", timeout_s=timeout_s) == _OK
        now = clock()
        _, since = readiness.get(name, (ready, now))
        if ready or not any(seen[0] for other, seen in readiness.items() if other != name):
            since = now
        readiness[name] = ready, since
        if now - since > _LAG_S:
            raise ServerError(f"not ready for {_LAG_S:g} s, and another gateway is")

    async def command() -> tuple[str, ...]:
        return (sys.executable, "-m", "gateway")

    def clean_up() -> None:
        readiness.pop(name, None)

    return Server(
        name=name,
        command=command,
        environment=gateway_environment(settings),
        check=check,
        policy=HealthPolicy(
            start=30.0,
            interval=settings.probe_interval_s,
            timeouts=_LATE_OF_SEVERAL if several else _LATE_OF_ONE,
            grace=settings.drain_s + 2.0,
        ),
        clean_up=clean_up,
    )


def gateway_environment(settings: Settings) -> dict[str, str]:
    """This process's environment with the settings of one gateway."""
    # gRPC's C core would print its own lines about what the gateway logs anyway.
    return {"GRPC_VERBOSITY": "ERROR", **os.environ, **settings.environment()}


async def wait_until_ready(urls: Sequence[str], *, timeout_s: float = math.inf) -> None:
    """Wait until each answers /ready with 200.

    Raises:
        ServerError: one does not within `timeout_s`.
    """
    end = time.monotonic() + timeout_s
    for url in urls:
        while not await is_ready(url):
            if time.monotonic() > end:
                raise ServerError(f"{url} was not ready within {timeout_s:g} s")
            await asyncio.sleep(0.1)


async def is_ready(url: str) -> bool:
    """Whether /ready is answered with 200 now."""
    try:
        return await status_of(f"{url}/ready", timeout_s=2.0) == _OK
    except (ServerError, TimeoutError):
        return False
