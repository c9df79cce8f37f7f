"""How Triton is started: its command line, its environment, what it leaves in shared memory."""

import hashlib
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from gateway.stack.server import TritonServer
from preprocess.settings import Settings

# A row is about 200 bytes; a region grows by the same step when a big batch needs it.
REGION_BYTES = 1024 * 1024
_EXIT_SECONDS = 5
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps it


def region_prefix(settings: Settings) -> str:
    """Prefix of this server's shared-memory regions: two stacks on a machine must not share."""
    key = hashlib.sha256(f"{settings.home}:{settings.triton_grpc_port}".encode()).hexdigest()[:10]
    return f"tezi_{key}_"


def triton_command(
    settings: Settings, server: TritonServer, models: Sequence[str]
) -> tuple[str, ...]:
    """The command line of a server that begins with `models`."""
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
    """This process's environment with the server's libraries, our Python first, the settings."""
    libraries = {}
    if server.libraries:
        # The stub links to libpython, which lies with a Python that is not the system's.
        libraries["LD_LIBRARY_PATH"] = f"{server.libraries}:{sysconfig.get_config_var('LIBDIR')}"
    return {
        **os.environ,
        **settings.environment(),
        **libraries,
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
        # Each instance is one core's worth; pools of threads beside it would fight for the cores.
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def remove_regions(settings: Settings) -> None:
    """Remove what a killed server left in shared memory."""
    for region in _SHARED_MEMORY.glob(f"{region_prefix(settings)}*"):
        region.unlink(missing_ok=True)
