"""Parses TEZI_DATABASE_URL: an SQLite file or a PostgreSQL database."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from preprocess.errors import SettingsError

SQLITE = "sqlite:///"
POSTGRESQL = ("postgresql://", "postgres://")

# Options after the question mark of a URL, with libpq's names. A host here is the folder of a Unix
# socket; timeouts are settings of Tezi.
_OPTIONS = frozenset(
    {"host", "sslmode", "sslrootcert", "sslcert", "sslkey", "channel_binding", "application_name"}
)


@dataclass(frozen=True, slots=True)
class SQLiteURL:
    """A file, by its absolute path."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class PostgresURL:
    """A database of a server. Printed, it does not show the password."""

    host: str
    port: int
    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{quote(self.user)}@{host}:{self.port}/{quote(self.database)}"


DatabaseURL = SQLiteURL | PostgresURL


def parse_database_url(text: str) -> DatabaseURL:
    """The database that a URL names; a relative path counts from the current folder.

    Raises:
        SettingsError: the URL is malformed. The message never repeats it: a password may be in it.
    """
    if text.startswith(SQLITE) and len(text) > len(SQLITE):
        return SQLiteURL(Path(text.removeprefix(SQLITE)).resolve())
    if text.startswith(POSTGRESQL):
        return _postgres(text)
    raise SettingsError(
        "A database URL must begin with sqlite:/// and a path, or be "
        "postgresql://user:password@host:port/name."
    )


def _postgres(text: str) -> PostgresURL:
    try:
        parts = urlsplit(text)
        port = parts.port or 5432
    except ValueError:
        # The cause would quote what was taken for a port: it may be the end of a password.
        raise _malformed("the host or port cannot be read") from None
    database = unquote(parts.path.removeprefix("/"))
    if not parts.username or not database or "/" in database or parts.fragment:
        raise _malformed("it needs a user and one name after the host")
    return PostgresURL(
        host=parts.hostname or "",
        port=port,
        user=unquote(parts.username),
        database=database,
        password=None if parts.password is None else unquote(parts.password),
        options=_options(parts),
    )


def _options(parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(options) - _OPTIONS)
    if unknown or (parts.query and not options):
        named = [name for name in unknown if re.fullmatch("[a-z_]+", name)]
        raise _malformed(
            f"it has options that Tezi does not take {named}: it takes {sorted(_OPTIONS)}"
        )
    if not parts.hostname and "host" not in options:
        raise _malformed("it names no host")
    return options


def _malformed(what: str) -> SettingsError:
    return SettingsError(
        f"The PostgreSQL URL is malformed: {what}. It is postgresql://user:password@host:port/name;"
        " write special characters of a password as %XX."
    )
