"""Explains errors of PostgreSQL: what went wrong and what to do about it."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2

from preprocess.database_url import PostgresURL
from preprocess.errors import StoreError

_BUSY = "The database is busy: another process writes to it. Try again when it is done."
_AWAY = "The database cannot be reached: check that its server runs, and its address."
_CRAMPED = (
    "The database server has no free connection: raise its max_connections, or lower "
    "TEZI_POSTGRES_POOL_SIZE."
)

# By SQLSTATE, whole or its class of two characters.
_BY_CODE = {
    "55P03": _BUSY,
    "40P01": _BUSY,
    "57014": (
        "One statement took too long: try again, or raise TEZI_POSTGRES_STATEMENT_TIMEOUT_S."
    ),
    "25006": (
        "The database cannot be written: it was opened for reading, or it is a read-only copy."
    ),
    "42501": (
        "The database user lacks a permission: grant it, or name the owner of the tables in "
        "TEZI_DATABASE_URL."
    ),
    "42P01": "A table is missing: the database is damaged. Put back a copy, or import again.",
    "42703": "A column is missing: the database is damaged. Put back a copy, or import again.",
    "53100": "The disk is full and nothing of this change was kept: make room, try again.",
    "53300": _CRAMPED,
    "08": _AWAY,
    "57": _AWAY,
    "XX": "The database is damaged: put back a copy, or import again.",
}

# libpq gives no code for a failed connection.
_BY_TEXT = {
    "password authentication failed": (
        "The database refuses the password: correct the user or password in TEZI_DATABASE_URL."
    ),
    "no password supplied": (
        "The database requires a password: write it in TEZI_DATABASE_URL or in ~/.pgpass."
    ),
    "no pg_hba.conf entry": (
        "The database does not let this machine or user in: see pg_hba.conf on its server."
    ),
    "too many clients": _CRAMPED,
    "remaining connection slots": _CRAMPED,
    "too many connections": _CRAMPED,
    "does not exist": (
        "There is no such user or database: correct TEZI_DATABASE_URL, or make it with createdb."
    ),
    "ssl": "The database and Tezi do not agree on encryption: see sslmode in TEZI_DATABASE_URL.",
}


@contextmanager
def explained(url: PostgresURL) -> Iterator[None]:
    """Turn psycopg2's errors into a StoreError that names the database, without its password."""
    try:
        yield
    except psycopg2.Error as error:
        raise StoreError(f"{explanation(error)} ({url}: {_first_line(error)})") from error


def explanation(error: psycopg2.Error) -> str:
    """One sentence for people."""
    code = error.pgcode
    if code:
        return _BY_CODE.get(code) or _BY_CODE.get(code[:2]) or "The database refused."
    text = str(error).lower()
    for part, hint in _BY_TEXT.items():
        if part in text:
            return hint
    if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError):
        return _AWAY
    return "The database refused."


def _first_line(error: psycopg2.Error) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
