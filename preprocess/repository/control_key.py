"""The key of Triton's control APIs, in the data folder: its owner alone can read it.

Triton runs what a load request sends it, so a stranger must not be able to load a model. A process
that cannot read the key leaves loading to the supervisor of Triton, which follows the versions.
"""

import os
import secrets

from preprocess.errors import ServerError
from preprocess.files import file_lock
from preprocess.settings import Settings

# gRPC metadata; Triton puts this prefix before the name that its flag is given.
HEADER = "tezi-control"
GRPC_HEADER = f"triton-grpc-protocol-{HEADER}"

_FILE = "triton.key"
_WAIT_S = 10.0


def make_key(settings: Settings, *, keep: bool = False) -> str:
    """A new random key, written to the data folder; with `keep` the one that is there already.

    Raises:
        ServerError: the folder cannot be written.
    """
    path, key = settings.home / _FILE, secrets.token_hex(32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(path.with_suffix(".lock"), wait_s=_WAIT_S):
            if keep and (known := read_key(settings)):
                return known
            path.unlink(missing_ok=True)
            # Never readable by others, not even before it has its content.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(key)
    except OSError as error:
        raise ServerError(f"{path} cannot be written: {error.strerror or error}.") from None
    return key


def read_key(settings: Settings) -> str | None:
    """The key, or None where there is none or this process may not read it."""
    try:
        return (settings.home / _FILE).read_text("ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
