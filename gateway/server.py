"""Runs uvicorn, and stops it without losing a request."""

import asyncio
import gc
import resource
import socket
import time
from types import FrameType
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from gateway.client_connection import ClientConnection
from gateway.traffic import Traffic
from preprocess.errors import ServerError
from preprocess.settings import Settings

# Seconds for requests that came after the signal, once the listener has closed.
_LAST_CALL_S = 1
# Files besides clients' connections: the database, Triton, Redis, the log.
_OTHER_FILES = 200


class DrainingServer(uvicorn.Server):
    """On SIGTERM or SIGINT: /ready responds 503, requests in flight finish, the listener closes."""

    def __init__(self, config: uvicorn.Config, *, traffic: Traffic, drain_s: float) -> None:
        """`drain_s` is how long requests in flight may take to finish, in seconds."""
        super().__init__(config)
        self._traffic = traffic
        self._drain_s = drain_s
        self._deadline = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and exclude everything loaded so far from garbage collection.

        A full collection visits every object and blocks all requests meanwhile: tens of ms for
        the modules and the stock directory alone, which live as long as the process.
        """
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        # A request makes a few hundred objects and leaves no cycles.
        gc.set_threshold(20_000, 20, 20)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """The first signal starts the drain, a second one ends it at once."""
        if self._traffic.draining:
            self.should_exit = True
            return
        self._traffic.drain()
        self._deadline = time.monotonic() + max(0.0, self._drain_s - _LAST_CALL_S)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second by uvicorn."""
        if self._traffic.drained or (self._traffic.draining and time.monotonic() > self._deadline):
            self.should_exit = True
        if counter % 10 == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                cast("ClientConnection", connection).close_if_overdue(now)
        return await super().on_tick(counter)


def serve(app: ASGIApp, settings: Settings, traffic: Traffic) -> None:
    """Serve until a signal arrives; return when every request has been answered.

    Raises:
        ServerError: the gateway cannot listen on its address.
    """
    listener = listen(settings.http_host, settings.http_port)
    _allow_files(settings.max_connections + _OTHER_FILES)
    config = configured(app, settings)
    DrainingServer(config, traffic=traffic, drain_s=settings.drain_s).run([listener])


def configured(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=ClientConnection,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=_LAST_CALL_S,
    )


def _allow_files(count: int) -> None:
    """Raise the number of files that this process may open, as far as the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on host:port.

    Raises:
        ServerError: the port is in use, or the host is not an address of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address, family=family, backlog=2048)
    except OSError as error:
        raise ServerError(
            f"The gateway cannot listen on {host}:{port}: {error.strerror or error}. Stop what "
            "listens there, or choose another port with TEZI_HTTP_PORT."
        ) from None
