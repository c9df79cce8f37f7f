"""Checks TEZI_REDIS_URL before anything connects."""

from urllib.parse import urlsplit

from preprocess.errors import SettingsError

_SCHEMES = ("redis", "rediss", "unix")


def check_redis_url(text: str) -> None:
    """Refuse what redis-py would misread: it takes a database that is no number for database 0.

    Raises:
        SettingsError: the URL is malformed. The message never repeats it: a password may be in it.
    """
    try:
        parts = urlsplit(text)
        port_is_readable = parts.port is None or parts.port > 0
    except ValueError:  # its words quote what was taken for a port: perhaps the end of a password
        raise _malformed("the host or port cannot be read") from None
    if parts.scheme not in _SCHEMES:
        raise _malformed("it begins with something else")
    if not port_is_readable or parts.fragment or "#" in text:
        raise _malformed("the host or port cannot be read")
    if parts.scheme == "unix":
        return
    database = parts.path.removeprefix("/")
    if not parts.hostname:
        raise _malformed("it names no host")
    if database and not (database.isascii() and database.isdigit()):
        raise _malformed("the database after the host is no number")


def _malformed(what: str) -> SettingsError:
    return SettingsError(
        f"The Redis URL is malformed: {what}. It is redis://user:password@host:port/0, rediss:// "
        "for TLS or unix:///path; write special characters of a password as %XX."
    )
