"""The file of admin tokens: one line `NAME SHA-256` a token, so the file gives nobody access."""

import hashlib
import re
import secrets
from pathlib import Path

from preprocess.errors import SettingsError

SHORTEST_TOKEN = 32
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")
_LARGEST_FILE = 100_000


def token_hash(token: str) -> str:
    """SHA-256 of a token. Tokens are random and long, so a slow hash would protect no better."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token(name: str) -> tuple[str, str]:
    """A new random token, and its line for the file.

    Raises:
        SettingsError: the name has other characters than letters, digits and ._@-.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"The name of a token has 1 to 64 letters, digits or ._@-, unlike {name!r}."
        )
    token = secrets.token_urlsafe(32)
    return token, f"{name} {token_hash(token)}"


def read_admin_tokens(path: Path) -> dict[str, str]:
    """The name of each token by its hash. Empty lines and those that begin with # are skipped.

    Raises:
        SettingsError: the file cannot be read, or a line has another form.
    """
    try:
        with path.open(encoding="utf-8") as file:
            lines = file.read(_LARGEST_FILE).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"TEZI_ADMIN_TOKENS_FILE={path} cannot be read: {reason}.") from None
    tokens = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, digest = line.strip().partition(" ")
        if not _NAME.fullmatch(name) or not _HASH.fullmatch(digest.strip()):
            raise SettingsError(
                f"TEZI_ADMIN_TOKENS_FILE={path}: line {number} is not NAME and SHA-256 in hex. "
                "`tezi admin-token NAME` prints one."
            )
        tokens[digest.strip()] = name
    return tokens
