"""Rows into PostgreSQL by COPY, as text that reads back to the same values."""

import io
import math
from collections.abc import Sequence
from typing import cast

from preprocess.errors import StoreError
from preprocess.store.postgres.connection import Connection

_SPECIAL = frozenset("\\\t\n\r\0")
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def database_value(value: object) -> object:
    """A value as SQLite would store it: NaN is NULL, and zero has no sign."""
    if isinstance(value, float):
        return None if math.isnan(value) else value + 0.0
    if isinstance(value, str) and "\0" in value:
        raise StoreError(f"PostgreSQL cannot store text with a NUL character: {value[:60]!r}")
    return value


def copy_in(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[object, ...]],
) -> None:
    """Append `rows` to `table` within the caller's transaction."""
    columns_of_cells = [_cells(column) for column in zip(*rows, strict=True)]
    text = "\n".join(map("\t".join, zip(*columns_of_cells, strict=True)))
    copy = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with connection.cursor() as cursor:
        cursor.copy_expert(copy, io.BytesIO(text.encode()))


def _cells(column: Sequence[object]) -> Sequence[str]:
    """A column as COPY's text. Most columns have one type, which is checked once for speed."""
    kinds = set(map(type, column))
    if kinds == {float}:
        figures = cast("Sequence[float]", column)
        return [repr(x + 0.0) if x == x else r"\N" for x in figures]  # noqa: PLR0124 - NaN is not itself
    if kinds == {int}:
        return list(map(repr, column))
    if kinds == {str}:
        texts = cast("Sequence[str]", column)
        if _SPECIAL.isdisjoint("".join(texts)):
            return texts
    return list(map(_cell, column))


def _cell(value: object) -> str:
    value = database_value(value)
    if value is None:
        return r"\N"
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if isinstance(value, bytes):
        return rf"\\x{value.hex()}"
    return repr(value)
