"""Whether the ports of a stack are free, asked before anything is started."""

import errno
import socket

from preprocess.errors import ServerError
from preprocess.settings import Settings


def require_free_ports(settings: Settings, *, gateway: bool = True) -> None:
    """Refuse to start on a port that something else listens on; without `gateway`, on Triton's.

    Raises:
        ServerError: names the port and the setting that moves it.
    """
    wanted = {"TEZI_HTTP_PORT": (settings.http_host, settings.http_port)} if gateway else {}
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
                    raise ServerError(f"{setting}={port} cannot be used: {error}.") from None
                raise ServerError(
                    f"Port {port} on {host} is in use. Stop what listens there, or choose another "
                    f"with {setting}."
                ) from None
