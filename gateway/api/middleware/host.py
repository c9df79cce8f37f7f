"""Refuses requests that name another host, where the hosts of this service are named."""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.responses import JSONAnswer


class HostMiddleware:
    """Responds 400 to a name that is not among the hosts.

    Addresses pass: a page can have a name of its own point here, but not an address. Probes of
    orchestrators and Prometheus ask by address.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str]) -> None:
        """`hosts` are names; `*.example.com` is any below example.com, `*` any at all."""
        self.app = app
        self._names = {host.lower() for host in hosts}
        self._suffixes = tuple(name[1:] for name in self._names if name.startswith("*"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the request if it is for this service."""
        if scope["type"] == "http" and not self._is_ours(_host(scope)):
            detail = {"detail": "This host is not served here; see TEZI_ALLOWED_HOSTS"}
            await JSONAnswer(detail, 400)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        return host in self._names or host.endswith(self._suffixes) or _is_address(host)


def _host(scope: Scope) -> str:
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    try:
        return urlsplit(f"//{hosts[0]}").hostname or "" if len(hosts) == 1 else ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
