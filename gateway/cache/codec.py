"""Values as bytes: msgpack, and for Redis an envelope that says whose value it is and how old."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import msgspec

from preprocess.errors import CacheError

# msgpack's own types stay what they are; these come back as what they were.
_DATE, _MOMENT, _DECIMAL = 1, 2, 3

_ENVELOPE = tuple[str, bytes, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Stamp:
    """The state of the shared fences when a computation began: an epoch, and a number in it."""

    epoch: bytes
    number: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A value out of Redis; `ends_ms` is the Unix time of Redis's clock until which it may live."""

    body: bytes
    stamp: Stamp
    ends_ms: int


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
        CacheError: the bytes are no value.
    """
    try:
        return msgspec.msgpack.decode(body, ext_hook=_restored)
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError) as error:
        raise CacheError(f"The cached value of {key!r} cannot be read: {error}") from None


def seal(key: str, body: bytes, stamp: Stamp, ends_ms: int) -> bytes:
    """A value in an envelope for Redis, with its key, stamp and end."""
    return msgspec.msgpack.encode((key, stamp.epoch, stamp.number, ends_ms, body))


def unseal(key: str, envelope: bytes) -> Sealed:
    """What lies in an envelope.

    Raises:
        CacheError: the bytes are no envelope, or that of another key.
    """
    try:
        found, epoch, number, ends_ms, body = msgspec.msgpack.decode(envelope, type=_ENVELOPE)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CacheError(f"The cached value of {key!r} cannot be read: {error}") from None
    if found != key:
        raise CacheError(f"Under {key!r} lies the value of {found!r}.")
    return Sealed(body, Stamp(epoch, number), ends_ms)


def _packable(value: object) -> object:
    """`value` with what msgpack has no type for as extensions."""
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
    raise TypeError(f"{kind.__name__} is no type that the cache keeps")


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
