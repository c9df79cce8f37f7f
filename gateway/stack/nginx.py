"""nginx in front of the gateways: its configuration in the data folder, and how it is run."""

import asyncio
import os
import pwd
import shutil
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from gateway.stack.ports import LOOPBACK, status_of
from gateway.stack.supervisor import HealthPolicy, Server
from preprocess.errors import ServerError
from preprocess.files import atomic_copy, atomic_write
from preprocess.resources import resource
from preprocess.settings import Settings, in_url

CONFIG = resource("config")
MAIN_FILE = "nginx_load_balancer.conf"
INCLUDES = "nginx"
# A file of this name in nginx's folder leads callers to new connections.
LEAVING = "leaving"

_CHECK_S = 10.0
# In so long whoever asks often has left the connections of before, and nginx has its new workers.
_LEAVE_S, _RELOAD_S = 2.0, 1.0
_OK = 200


def find_nginx() -> str:
    """The program; Debian puts it where only root's PATH leads.

    Raises:
        ServerError: it is not installed.
    """
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise ServerError(
            "Several gateways need nginx in front of them: install it (Debian: `apt-get install "
            "nginx-light`), or run one gateway (TEZI_GATEWAYS=1)."
        )
    return program


def write_config(settings: Settings, *, source: Path = CONFIG) -> Path:
    """Put nginx's configuration into the data folder anew; the path of its main file.

    It is what `source` holds, optional includes among it, with the gateways and addresses of
    these settings.
    """
    folder = settings.nginx_dir
    shipped, includes = source / INCLUDES, folder / INCLUDES
    (folder / LEAVING).unlink(missing_ok=True)
    chosen = {name for name in _files(shipped) if not name.startswith("available/")}
    status = (shipped / "available" / "status.conf").read_text("utf-8")
    written = {
        "upstream.conf": upstream(settings.gateway_ports, backups="sticky.conf" not in chosen),
        "listen.conf": _listen(settings),
        "status.conf": status.replace("127.0.0.1:8090", f"{LOOPBACK}:{settings.nginx_status_port}"),
    }
    if settings.trusted_proxies and "real_ip.conf" not in chosen:
        written["real_ip.conf"] = _real_ip(settings.trusted_proxies)
    if os.getuid() == 0 and "main.conf" not in chosen:
        folder.mkdir(parents=True, exist_ok=True)
        written["main.conf"] = _workers_of(folder)
    # File by file, and nothing is deleted first: nginx may read them at any time.
    for name, text in written.items():
        atomic_write(includes / name, f"# Written by `tezi up`.\n{text}".encode())
    for name in chosen - written.keys():
        atomic_copy(shipped / name, includes / name)
    atomic_copy(source / MAIN_FILE, folder / MAIN_FILE)
    for name in _files(includes) - chosen - written.keys():
        (includes / name).unlink()
    return folder / MAIN_FILE


def _files(folder: Path) -> set[str]:
    """Names of the files below a folder, relative to it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def upstream(ports: Sequence[int], *, backups: bool) -> str:
    """The lines of nginx's configuration that name the gateways on these ports.

    With `backups` each is named once more, for when failures would leave nobody to be asked.
    """
    lines = [f"{port} max_fails=3 fail_timeout=2s" for port in ports]
    if backups:
        lines += [f"{port} max_fails=0 backup" for port in ports]
    return "".join(f"server {LOOPBACK}:{line};\n" for line in lines)


def nginx_command(settings: Settings, *more: str) -> tuple[str, ...]:
    """nginx on the configuration in the data folder, with further words."""
    folder = settings.nginx_dir
    return (
        find_nginx(),
        *("-p", str(folder)),
        *("-c", str(folder / MAIN_FILE)),
        *("-e", "stderr"),
        *more,
    )


def nginx_server(settings: Settings) -> Server:
    """nginx, checked by its own counters; told to end, it finishes what is under way.

    Raises:
        ServerError: it is not installed.
    """
    find_nginx()

    async def check(timeout_s: float) -> None:
        status = await status_of(
            f"http://{LOOPBACK}:{settings.nginx_status_port}/status", timeout_s=timeout_s
        )
        if status != _OK:
            raise ServerError(f"nginx answers /status with {status}")

    async def command() -> tuple[str, ...]:
        await asyncio.to_thread(partial(write_config, settings))
        await check_config(settings)
        return nginx_command(settings, "-g", "daemon off;")

    return Server(
        name="nginx",
        command=command,
        environment=os.environ,
        check=check,
        policy=HealthPolicy(
            start=10.0, interval=settings.probe_interval_s, grace=settings.drain_s + 2.0
        ),
        end_signal=signal.SIGQUIT,
    )


async def reload_gently(folder: Path, tell: Callable[[], None]) -> None:
    """Have nginx, whose prefix is `folder`, begin anew with its configuration; `tell()` tells it.

    Its old workers close connections that are idle, and a request may be on its way on one. So
    before that callers are led to new connections, one for each request.
    """
    leaving = folder / LEAVING
    leaving.touch()
    try:
        await asyncio.sleep(_LEAVE_S)
        tell()
        await asyncio.sleep(_RELOAD_S)
    finally:
        leaving.unlink(missing_ok=True)


async def check_config(settings: Settings) -> None:
    """Let nginx read its configuration.

    Raises:
        ServerError: with nginx's own words.
    """
    process = await asyncio.create_subprocess_exec(
        *nginx_command(settings, "-t", "-q"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _CHECK_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise ServerError(f"nginx did not read its configuration in {_CHECK_S:g} s") from None
    if process.returncode != 0:
        raise ServerError(f"nginx refuses its configuration:\n  {output.decode().strip()}")


def _listen(settings: Settings) -> str:
    size = settings.max_body_bytes
    return (
        f"listen {in_url(settings.http_host)}:{settings.http_port} backlog=2048;\n"
        f"client_max_body_size {size};\n"
        f"client_body_buffer_size {size};\n"
    )


def _real_ip(proxies: str) -> str:
    networks = filter(None, map(str.strip, proxies.split(",")))
    return (
        "".join(f"set_real_ip_from {network};\n" for network in networks)
        + "real_ip_header X-Forwarded-For;\nreal_ip_recursive on;\n"
    )


def _workers_of(folder: Path) -> str:
    """Workers of a root's nginx belong to the owner of the folder, whose files they write."""
    owner = folder.stat()
    try:
        return f"user {pwd.getpwuid(owner.st_uid).pw_name};\n"
    except KeyError:
        return "user root;\n"
