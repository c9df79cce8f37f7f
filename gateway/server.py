"""The process that serves: uvicorn, and how it comes to an end without losing a request."""

import gc
import socket
import time
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from gateway.one_write import OneWriteProtocol
from gateway.traffic import Traffic
from preprocess.errors import ServerError
from preprocess.settings import Settings

# What requests that came after the signal get, when the listener has closed.
_LAST_CALL_S = 1


class DrainingServer(uvicorn.Server):
    """On SIGTERM or SIGINT: /ready says no, what is under way ends, then the listener closes."""

    def __init__(self, config: uvicorn.Config, *, traffic: Traffic, drain_s: float) -> None:
        """`drain_s` is how long requests under way get."""
        super().__init__(config)
        self._traffic = traffic
        self._drain_s = drain_s
        self._deadline = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with what lives as long as the process set aside from garbage collection.

        A full collection looks at every object, and nothing is answered meanwhile: tens of ms for
        the modules and the stock directory alone, which are never garbage.
        """
        await super().startup(sockets)
        gc.collect()
        gc.freeze()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """The first signal begins the drain, a second one cuts it short."""
        if self._traffic.draining:
            self.should_exit = True
            return
        self._traffic.drain()
        self._deadline = time.monotonic() + max(0.0, self._drain_s - _LAST_CALL_S)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second by uvicorn."""
        if self._traffic.drained or (self._traffic.draining and time.monotonic() > self._deadline):
            self.should_exit = True
        return await super().on_tick(counter)


def serve(app: ASGIApp, settings: Settings, traffic: Traffic) -> None:
    """Serve until a signal comes; return when every request has been answered.

    Raises:
        ServerError: the address cannot be listened on.
    """
    listener = listen(settings.http_host, settings.http_port)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=OneWriteProtocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=_LAST_CALL_S,
    )
    DrainingServer(config, traffic=traffic, drain_s=settings.drain_s).run([listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on host:port.

    Raises:
        ServerError: it is in use, or is no address of this machine.
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
