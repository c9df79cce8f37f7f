"""Triton on this machine: which server is run, how it is started, and whether it serves."""

import asyncio
import hashlib
import os
import secrets
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from gateway.stack.reloading import ModelReloader
from gateway.stack.supervisor import HealthPolicy, Notice, Server
from gateway.stack.wheel import assemble_backends, find_wheel
from preprocess.errors import ModelError, ServerError
from preprocess.repository.control_key import HEADER, make_key
from preprocess.repository.golden_check import GoldenCheck
from preprocess.repository.releases import Releases
from preprocess.repository.serving import served_variants
from preprocess.repository.stable import stable_version
from preprocess.settings import Settings

# A row is about 200 bytes; a region grows by the same step when a big batch needs it.
REGION_BYTES = 1024 * 1024
# What changes what the server runs, reads or writes. Health, metadata, configs, statistics and
# inference stay open: clients and perf_analyzer use them.
CONTROL_APIS = "model-repository,shared-memory,trace,logging"
_EXIT_SECONDS = 5
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps it


@dataclass(frozen=True, slots=True)
class TritonServer:
    """A server's program, its backends, and the libraries that the loader has to be told of."""

    program: Path
    backends: Path
    libraries: Path | None = None


def find_server(settings: Settings) -> TritonServer:
    """The server that TEZI_TRITON_ROOT names, or the wheel's with its backends put together.

    Raises:
        ServerError: a part of it is not there.
    """
    if not settings.triton_root:
        wheel = find_wheel()
        backends = assemble_backends(wheel, settings.home / "backends")
        return TritonServer(wheel.server, backends, wheel.libraries)
    root = Path(settings.triton_root)
    server = TritonServer(root / "bin" / "tritonserver", root / "backends")
    for part in (server.program, server.backends / "python", server.backends / "onnxruntime"):
        if not part.exists():
            raise ServerError(
                f"TEZI_TRITON_ROOT={root} has no {part.relative_to(root)}: name the folder of a "
                "Triton with the Python and ONNX Runtime backends, or leave it empty."
            )
    return server


def region_prefix(settings: Settings) -> str:
    """Prefix of this server's shared-memory regions: two stacks on a machine must not share."""
    key = hashlib.sha256(f"{settings.home}:{settings.triton_grpc_port}".encode()).hexdigest()[:10]
    return f"tezi_{key}_"


def triton_command(
    settings: Settings, server: TritonServer, models: Sequence[str], key: str
) -> tuple[str, ...]:
    """The command line of a server that begins with `models`; `key` opens its control APIs."""
    prefix = region_prefix(settings)
    command = [
        str(server.program),
        f"--model-repository={settings.repository_dir}",
        f"--backend-directory={server.backends}",
        "--model-control-mode=explicit",  # polling would load half-written folders
        "--strict-readiness=true",
        "--exit-on-error=true",
        f"--exit-timeout-secs={_EXIT_SECONDS}",
        "--allow-gpu-metrics=false",
        f"--http-address={settings.triton_host}",
        f"--http-port={settings.triton_http_port}",
        f"--grpc-address={settings.triton_host}",
        f"--grpc-port={settings.triton_grpc_port}",
        f"--metrics-address={settings.triton_host}",
        f"--metrics-port={settings.triton_metrics_port}",
        "--reuse-http-port=false",
        "--reuse-grpc-port=false",
        f"--grpc-restricted-protocol={CONTROL_APIS}:{HEADER}={key}",
        # A header cannot hold a line break, so over HTTP nobody has the key. A web page can send
        # HTTP requests to this machine, and we load by gRPC.
        f"--http-restricted-api={CONTROL_APIS}:{HEADER}={secrets.token_hex(16)}\n",
        "--allow-sagemaker=false",  # its port would not ask for the key
        "--allow-vertex-ai=false",
    ]
    if settings.triton_max_connection_age_s:
        # Without a grace: what is under way on the old connection is answered there.
        command.append(f"--grpc-max-connection-age={settings.triton_max_connection_age_s * 1000}")
    command += [f"--load-model={name}" for name in models]
    for backend in ("python", "onnxruntime"):
        command += [
            f"--backend-config={backend},shm-region-prefix-name={prefix}{backend}_",
            f"--backend-config={backend},shm-default-byte-size={REGION_BYTES}",
            f"--backend-config={backend},shm-growth-byte-size={REGION_BYTES}",
        ]
    return tuple(command)


def triton_environment(settings: Settings, server: TritonServer) -> dict[str, str]:
    """This process's environment with the server's libraries, our Python first, the settings.

    Without the secrets that the server has no use for: it runs more foreign code than a gateway.
    """
    withheld = {name: "" for name in Settings.model_fields if name.startswith(("admin_", "read_"))}
    if not settings.cache_features:
        withheld["redis_url"] = ""
    libraries = {}
    if server.libraries:
        # The stub links to libpython, which lies with a Python that is not the system's.
        libraries["LD_LIBRARY_PATH"] = f"{server.libraries}:{sysconfig.get_config_var('LIBDIR')}"
    return {
        **os.environ,
        **settings.environment(),
        # Empty and not absent, or its Python models would find them in `.env`.
        **{f"TEZI_{name.upper()}": value for name, value in withheld.items()},
        **libraries,
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        # Each instance is one core's worth; pools of threads beside it would fight for the cores.
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def remove_regions(settings: Settings) -> None:
    """Remove what a killed server left in shared memory."""
    for region in _SHARED_MEMORY.glob(f"{region_prefix(settings)}*"):
        region.unlink(missing_ok=True)


async def check_stable(settings: Settings, timeout_s: float) -> None:
    """Return when every variant of the stable version answers its golden row correctly.

    Raises:
        TimeoutError: no answer within `timeout_s`.
        ServerError: an error, or a wrong answer.
    """
    try:
        stable = stable_version(settings.versions_dir)
    except ModelError as error:
        raise ServerError(str(error)) from error
    checks = [
        GoldenCheck(settings, stable, variant=variant)(timeout_s)
        for variant in served_variants(settings, stable)
    ]
    for result in await asyncio.gather(*checks, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def triton_server(settings: Settings, *, notice: Notice, keep_key: bool = False) -> Server:
    """Triton with the live model repository; it serves when the golden rows come back right.

    It begins with the stable version; the others are loaded when it is up. A model whose process
    dies is loaded anew; a server that does not answer is replaced. Each start makes a new key of
    the control APIs; with `keep_key` all Tritons that share the data folder use one.

    Raises:
        ServerError: there is no server to run.
    """
    server = find_server(settings)
    if not _is_loopback(settings.triton_host):
        notice(
            f"Triton listens on {settings.triton_host}: let nobody but gateways reach its ports. "
            "It asks for no password, and this release has known faults (SECURITY.md)."
        )
    releases = Releases(settings, notice=notice)
    reloader = ModelReloader(settings, notice)

    async def command() -> tuple[str, ...]:
        reloader.reset()
        key = await asyncio.to_thread(make_key, settings, keep=keep_key)
        _, models = await releases.prepare_start()
        return triton_command(settings, server, models, key)

    return Server(
        name="triton",
        command=command,
        environment=triton_environment(settings, server),
        check=partial(check_stable, settings),
        policy=HealthPolicy(
            start=settings.triton_start_timeout_s, interval=settings.probe_interval_s, grace=8.0
        ),
        clean_up=partial(remove_regions, settings),
        on_up=partial(reloader.watch, releases),
        repair=reloader.reload_dead,
    )
