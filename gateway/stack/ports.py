"""The ports of a stack: whether they are free before it starts, and HTTP checks of them."""

import asyncio
import errno
import socket
from contextlib import ExitStack

import httpx

from preprocess.errors import ServerError
from preprocess.settings import Settings

# For the gateways behind nginx, and what only this machine may see.
LOOPBACK = "127.0.0.1"


def require_free_ports(settings: Settings, *, gateway: bool = True) -> None:
    """Check that every port of the stack is free; without `gateway` only Triton's.

    Raises:
        ServerError: one is in use. The message names the setting to change.
    """
    wanted = _of_gateways(settings) if gateway else {}
    wanted |= {
        "TEZI_TRITON_HTTP_PORT": (settings.triton_host, settings.triton_http_port),
        "TEZI_TRITON_GRPC_PORT": (settings.triton_host, settings.triton_grpc_port),
        "TEZI_TRITON_METRICS_PORT": (settings.triton_host, settings.triton_metrics_port),
    }
    for setting, (host, port) in wanted.items():
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise ServerError(
                        f"{setting}: {host}:{port} cannot be used: {error}."
                    ) from None
                raise ServerError(
                    f"Port {port} on {host} is in use. Stop what listens there, or choose another "
                    f"with {setting}."
                ) from None


def free_ports(host: str, count: int) -> list[int]:
    """Ports of `host` that are free; all are bound until all are chosen, so they differ."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket(family)) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _of_gateways(settings: Settings) -> dict[str, tuple[str, int]]:
    """The address of clients, and those behind nginx."""
    wanted = {"TEZI_HTTP_PORT": (settings.http_host, settings.http_port)}
    if settings.gateways > 1:
        wanted["TEZI_NGINX_STATUS_PORT"] = (LOOPBACK, settings.nginx_status_port)
        for number, port in enumerate(settings.gateway_ports):
            wanted[f"TEZI_GATEWAY_BASE_PORT + {number}"] = (LOOPBACK, port)
    return wanted


async def status_of(url: str, *, timeout_s: float) -> int:
    """The status of the response to a GET of an http:// `url`.

    Raises:
        TimeoutError: no answer within `timeout_s`.
        ServerError: nothing answers there, or not in HTTP.
    """
    # A new connection each time, like a new client. `verify=False` avoids loading the machine's
    # certificates, which takes 22 ms of CPU.
    client = httpx.AsyncClient(timeout=timeout_s, trust_env=False, verify=False)  # noqa: S501 - plain http
    try:
        async with asyncio.timeout(timeout_s), client:
            return (await client.get(url)).status_code
    except (TimeoutError, httpx.TimeoutException):
        raise TimeoutError(f"no answer within {timeout_s:g} s") from None
    except httpx.TransportError as error:
        raise ServerError(f"{url} does not answer: {error or type(error).__name__}") from None
