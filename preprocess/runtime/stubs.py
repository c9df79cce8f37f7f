"""The processes that Triton's Python backend runs its models in."""

import re
from pathlib import Path

_PROCESSES = Path("/proc")
_STUB = b"triton_python_backend_stub"


def models_with_stub(repository: Path) -> frozenset[str]:
    """Names of the models of a live repository that have a living process on this machine.

    A process that has died and was not yet cleared away shows no command line, and does not count.
    """
    in_repository = re.compile(re.escape(str(repository)).encode() + rb"/(?P<model>[^/]+)/")
    found = set()
    for process in _PROCESSES.iterdir():
        if not process.name.isdecimal():
            continue
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended, or is none of ours
        model = in_repository.search(words) if _STUB in words else None
        if model:
            found.add(model["model"].decode())
    return frozenset(found)
