"""Which Triton is run: the one in the wheel, or one that is installed on the machine."""

from dataclasses import dataclass
from pathlib import Path

from gateway.stack.wheel import assemble_backends, find_wheel
from preprocess.errors import ServerError
from preprocess.settings import Settings


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
