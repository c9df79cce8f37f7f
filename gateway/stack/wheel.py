"""Finds the Triton Inference Server that the nvidia-pytriton wheel carries."""

import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from preprocess.errors import ServerError
from preprocess.files import atomic_copy
from preprocess.resources import resource

DISTRIBUTION = "nvidia-pytriton"
ONNX_BACKEND = resource("backends") / "onnxruntime"


@dataclass(frozen=True, slots=True)
class TritonWheel:
    """Where the parts of the wheel's server lie."""

    server: Path
    libraries: Path
    python_backend: Path
    stub: Path
    version: str


def find_wheel() -> TritonWheel:
    """The installed wheel's server with the stub of this Python.

    Raises:
        ServerError: the wheel is not installed, or lacks a part.
    """
    try:
        package = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        raise ServerError(f"{DISTRIBUTION} is not installed: run `make setup`.") from None
    root = Path(str(package.locate_file("pytriton/tritonserver")))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    wheel = TritonWheel(
        server=root / "bin" / "tritonserver",
        libraries=Path(str(package.locate_file("nvidia_pytriton.libs"))),
        python_backend=root / "backends" / "python",
        stub=root / "python_backend_stubs" / python / "triton_python_backend_stub",
        version=package.version,
    )
    for part in (wheel.server, wheel.libraries, wheel.python_backend, wheel.stub):
        if not part.exists():
            raise ServerError(
                f"{DISTRIBUTION} {package.version} has no {part}: run `make clean setup`."
            )
    return wheel


def assemble_backends(wheel: TritonWheel, folder: Path) -> Path:
    """A backend directory: the wheel's Python backend beside its stub, and ours for ONNX.

    Copies, because the server refuses a library that a link leads out of the directory to. The
    wheel itself is left as it was installed; what is there already is not copied again.
    """
    for source in (*wheel.python_backend.iterdir(), wheel.stub):
        if source.is_file():  # compiled bytecode lies beside the backend's Python files
            atomic_copy(source, folder / "python" / source.name)
    for source in ONNX_BACKEND.glob("*.py"):
        atomic_copy(source, folder / "onnxruntime" / source.name)
    return folder
