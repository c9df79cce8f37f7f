"""Values as bytes: msgpack."""

from datetime import date, datetime
from decimal import Decimal
from typing import Final

import msgspec

from preprocess.errors import CacheError

# Extension types for values that msgpack has no type for.
_DATE, _MOMENT, _DECIMAL = 1, 2, 3

MISS: Final = object()
"""What a cache gives for a key that it does not have; None, False and 0 are values."""


def encode(key: str, value: object) -> bytes:
    """`value` as bytes.

    None, bool, int of 64 bits, float, str, bytes, dates, datetimes and decimals, in lists, tuples
    and dicts. A tuple comes back as a list.

    Raises:
        CacheError: the value is of another type.
    """
    try:
        return msgspec.msgpack.encode(_packable(value))
    except (TypeError, OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise CacheError(f"A value for {key!r} cannot be cached: {error}") from None


def decode(key: str, body: bytes) -> object:
    """The value that `encode` made bytes of.

    Raises:
        CacheError: the bytes are not a value.
    """
    try:
        return msgspec.msgpack.decode(body, ext_hook=_restored)
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError) as error:
        raise CacheError(f"The cached value of {key!r} cannot be read: {error}") from None


def _packable(value: object) -> object:
    """`value` with extensions for the types that msgpack lacks."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str, bytes):
        return value
    if isinstance(value, list | tuple):
        return [_packable(item) for item in value]
    if kind is dict:
        return {_text_key(name): _packable(item) for name, item in value.items()}  # type: ignore[attr-defined]  # a dict by the line above
    if isinstance(value, datetime):
        return msgspec.msgpack.Ext(_MOMENT, value.isoformat().encode())
    if isinstance(value, date):
        return msgspec.msgpack.Ext(_DATE, value.isoformat().encode())
    if isinstance(value, Decimal):
        return msgspec.msgpack.Ext(_DECIMAL, str(value).encode())
    raise TypeError(f"{kind.__name__} cannot be cached")


def _text_key(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the keys of a dict must be text, not {type(name).__name__}")
    return name


def _restored(code: int, data: memoryview) -> object:
    text = bytes(data).decode()
    if code == _DATE:
        return date.fromisoformat(text)
    if code == _MOMENT:
        return datetime.fromisoformat(text)
    if code == _DECIMAL:
        return Decimal(text)
    raise ValueError(f"extension {code} is not known")
