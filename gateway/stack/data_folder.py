"""Which stack runs on a data folder: a lock says that one does, a file its process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from preprocess.errors import ServerError
from preprocess.files import file_lock
from preprocess.settings import Settings


@contextmanager
def only_stack(settings: Settings, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the data folder: two Tritons on one machine would take the other's models for theirs.

    Raises:
        ServerError: another stack still has it after `wait_s` seconds.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    lock = file_lock(settings.home / "up.lock", wait_s=wait_s)
    try:
        lock.acquire()
    except Timeout:
        raise ServerError(
            f"Another stack runs on {settings.home}. Stop it, or give this one a folder and "
            "ports of its own (TEZI_DATA_DIR, TEZI_HTTP_PORT, TEZI_TRITON_*_PORT)."
        ) from None
    try:
        pid_file(settings).unlink(missing_ok=True)  # of a stack that was killed
        yield
    finally:
        lock.release()


def pid_file(settings: Settings) -> Path:
    """Where a stack that takes requests names its process."""
    return settings.home / "up.pid"


def pid_of_stack(settings: Settings) -> int:
    """The process of the `tezi up` that runs on the data folder.

    Raises:
        ServerError: none does.
    """
    none = ServerError(
        f"No stack runs on {settings.home}: start one with `tezi up`, or name its folder with "
        "TEZI_DATA_DIR."
    )
    if not settings.home.is_dir():
        raise none
    try:
        with file_lock(settings.home / "up.lock"):
            raise none  # nothing holds the folder, and the process of a killed stack may be another
    except Timeout:
        pass
    try:
        return int(pid_file(settings).read_bytes())
    except (OSError, ValueError):
        raise none from None
