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
# While a file of this name is in nginx's folder, each response closes its connection.
LEAVING = "leaving"

_CHECK_S = 10.0
# By then busy clients have left their old connections, and nginx has started its new workers.
_LEAVE_S, _RELOAD_S = 2.0, 1.0
_OK = 200


def find_nginx() -> str:
    """The program; Debian installs it into a folder that is only in root's PATH.

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
    """Write nginx's configuration into the data folder; returns the path of its main file.

    It is a copy of `source`, optional includes too, with the gateways and addresses of these
    settings.
    """
    folder = settings.nginx_dir
    shipped, includes = source / INCLUDES, folder / INCLUDES
    (folder / LEAVING).unlink(missing_ok=True)
    chosen = {name for name in _files(shipped) if not name.startswith("available/")}
    status = (shipped / "available" / "status.conf").read_text("utf-8")
    written = {
        "upstream.conf": upstream(settings.gateway_ports, backups="sticky.conf" not in chosen),
        "listen.conf": _listen(settings),
        "deadline.conf": deadline(settings.request_timeout_ms),
        "status.conf": status.replace("127.0.0.1:8090", f"{LOOPBACK}:{settings.nginx_status_port}"),
    }
    if settings.trusted_proxies and "real_ip.conf" in chosen:
        known = (shipped / "real_ip.conf").read_text("utf-8")
        written["real_ip.conf"] = known + _trusted(settings.trusted_proxies)
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

    With `backups` each is named twice, so that it is used even if all have failed recently.
    """
    lines = [f"{port} max_fails=3 fail_timeout=2s" for port in ports]
    if backups:
        lines += [f"{port} max_fails=0 backup" for port in ports]
    return "".join(f"server {LOOPBACK}:{line};\n" for line in lines)


def deadline(timeout_ms: int) -> str:
    """The lines that leave the deadline to gateways; `timeout_ms` is the default one.

    A gateway that is silent for half a second longer hangs, and another one is queried. A caller
    who grants more than the default waits for one gateway.
    """
    digits = str(timeout_ms)
    # Longer numbers are greater, and of the same length those that exceed it in a digit first.
    greater = [
        f"{digits[:place]}[{int(digit) + 1}-9]" + "[0-9]" * (len(digits) - place - 1)
        for place, digit in enumerate(digits)
        if digit != "9"
    ]
    pattern = "|".join([*greater, f"[1-9][0-9]{{{len(digits)},}}"])
    return (
        "map $http_x_request_timeout_ms $is_patient {\n"
        f'    "~^0*({pattern})$" 1;\n'
        "    default 0;\n"
        "}\n"
        f"proxy_read_timeout {timeout_ms + 500}ms;\n"
    )


def nginx_command(settings: Settings, *more: str) -> tuple[str, ...]:
    """The command line of nginx on the configuration in the data folder, with more arguments."""
    folder = settings.nginx_dir
    return (
        find_nginx(),
        *("-p", str(folder)),
        *("-c", str(folder / MAIN_FILE)),
        *("-e", "stderr"),
        *more,
    )


def nginx_server(settings: Settings) -> Server:
    """nginx, checked by its status page; it finishes the requests in flight when it is stopped.

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
        environment={"PATH": os.environ.get("PATH", os.defpath)},  # and none of our secrets
        check=check,
        policy=HealthPolicy(
            start=10.0, interval=settings.probe_interval_s, grace=settings.drain_s + 2.0
        ),
        end_signal=signal.SIGQUIT,
    )


async def reload_gently(folder: Path, tell: Callable[[], None]) -> None:
    """Reload the nginx whose prefix is `folder`; `tell()` sends the signal.

    The old workers close idle connections, and a request may just be sent on one. So for two
    seconds before that, each response closes its connection.
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
    """Have nginx check its configuration.

    Raises:
        ServerError: it is wrong; the message is nginx's own.
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


def _trusted(proxies: str) -> str:
    networks = filter(None, map(str.strip, proxies.split(",")))
    return "".join(f"set_real_ip_from {network};\n" for network in networks)


def _workers_of(folder: Path) -> str:
    """The user of the workers, where root starts nginx: the owner of the folder they write to."""
    owner = folder.stat()
    try:
        return f"user {pwd.getpwuid(owner.st_uid).pw_name};\n"
    except KeyError:
        return "user root;\n"
