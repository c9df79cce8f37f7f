"""Keys of cached queries: the same for the same question to the same state of the market."""

import hashlib
import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

import msgspec

from preprocess.errors import StoreError
from preprocess.store.sql_text import canonical, words
from preprocess.store.statements import Parameters
from preprocess.store.tools import Version

# What the change log says nothing about: answers over these are computed each time.
UNLOGGED = frozenset(["daily_predictions", "derived_marks", "schema_migrations", "change_log"])
_CATALOGUES = ("sqlite_", "pg_", "pragma_", "dbstat", "information_schema")


def query_key(sql: str, parameters: Parameters, version: Version) -> str:
    """`query:{hash}` of the canonical SQL, the typed parameters and the state they are asked of.

    Raises:
        StoreError: a parameter is of a type that no column has.
    """
    marks = [(mark.sequence, mark.token) for mark in (version.market, version.samples)]
    parts = msgspec.msgpack.encode((canonical(sql), typed(parameters), marks))
    return f"query:{hashlib.sha256(parts).hexdigest()}"


def is_logged(sql: str, version: Version) -> bool:
    """Whether every change of what `sql` reads moves the version."""
    said = words(sql)
    return (
        bool(version.market.token)
        and not said & UNLOGGED
        and not any(word.startswith(_CATALOGUES) for word in said)
    )


def typed(parameters: Parameters) -> list[object]:
    """The parameters so that 1, "1", 1.0, True, None and a day all differ.

    Raises:
        StoreError: a parameter is of a type that no column has.
    """
    if isinstance(parameters, Mapping):
        return ["named", *([name, _typed(value)] for name, value in sorted(parameters.items()))]
    return ["placed", *map(_typed, parameters)]


def _typed(value: object) -> tuple[str, str]:  # noqa: PLR0911 - one line a type
    # In this order: a bool is an int, and a datetime is a date.
    if value is None:
        return ("null", "")
    if isinstance(value, bool):
        return ("bool", str(value))
    if isinstance(value, int):
        return ("int", str(value))
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else value.hex())
    if isinstance(value, str):
        return ("text", value)
    if isinstance(value, bytes):
        return ("bytes", value.hex())
    if isinstance(value, datetime):
        return ("moment", value.isoformat())
    if isinstance(value, date):
        return ("day", value.isoformat())
    if isinstance(value, Decimal):
        return ("decimal", str(value))
    raise StoreError(f"A query takes no parameter of type {type(value).__name__}.")
