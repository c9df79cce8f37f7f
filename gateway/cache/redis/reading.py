"""How values are read from Redis, and how they lie there.

Values and the generations of their scopes come in one round trip, the generations after the values:
a value that passes was current when Redis answered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.cache.keys import scope_of
from preprocess.errors import CacheError

# Every key of Tezi in Redis begins with this; the number is that of the layout.
PREFIX = "tezi:4:"
VALUES = f"{PREFIX}value:"
GENERATIONS = f"{PREFIX}generations"

_ENVELOPE = tuple[str, bytes, int, int, bytes]
_STATE = ("epoch", "number")


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a computation began: the epoch in Redis, and the number of the newest invalidation."""

    epoch: bytes
    number: int


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A value from Redis; `ends_ms` is its expiry, Unix time by Redis's clock."""

    body: bytes
    stamp: Stamp
    ends_ms: int


def encode_envelope(key: str, body: bytes, stamp: Stamp, ends_ms: int) -> bytes:
    """A value in an envelope for Redis, with its key, stamp and expiry."""
    return msgspec.msgpack.encode((key, stamp.epoch, stamp.number, ends_ms, body))


def decode_envelope(key: str, envelope: bytes) -> StoredValue:
    """What is in an envelope.

    Raises:
        CacheError: the bytes are no envelope, or that of another key.
    """
    try:
        found, epoch, number, ends_ms, body = msgspec.msgpack.decode(envelope, type=_ENVELOPE)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CacheError(f"The cached value of {key!r} cannot be read: {error}") from None
    if found != key:
        raise CacheError(f"Under {key!r} lies the value of {found!r}.")
    return StoredValue(body, Stamp(epoch, number), ends_ms)


@dataclass(frozen=True, slots=True)
class Reading:
    """The current values, and the state of the generations when Redis answered."""

    values: Mapping[str, StoredValue]
    stamp: Stamp | None


@dataclass(frozen=True, slots=True)
class Question:
    """A read of some keys: the arguments of its two commands, and what their answers mean."""

    keys: Sequence[str]

    @property
    def value_keys(self) -> list[str]:
        """The keys in Redis, for MGET."""
        return [VALUES + key for key in self.keys]

    @property
    def fields(self) -> list[str]:
        """The fields of the generations, for HMGET."""
        return [*_STATE, *self._scopes()]

    def read(self, answers: object) -> Reading:
        """What the answers to MGET and HMGET say; a damaged value is a miss.

        Raises:
            ValueError: these are no answers to this question.
        """
        if not isinstance(answers, list) or len(answers) != 2:
            raise ValueError("Redis gave something else than two answers")
        envelopes, state = answers
        for part, length in ((envelopes, len(self.keys)), (state, len(self.fields))):
            if isinstance(part, Exception):
                raise part
            if not isinstance(part, list) or len(part) != length:
                raise ValueError("Redis gave a list of another length")
        epoch, number, *numbers = state
        if not isinstance(epoch, bytes):
            return Reading({}, None)
        if int(number) >= 2**63:  # Redis counts no further, and envelopes have no room for it
            raise ValueError("Redis gave a generation that it cannot count to")
        generations = {
            name: int(found or 0) for name, found in zip(self._scopes(), numbers, strict=True)
        }
        values: dict[str, StoredValue] = {}
        for key, envelope in zip(self.keys, envelopes, strict=True):
            sealed = _opened(key, envelope)
            if sealed is not None and _is_current(key, sealed.stamp, epoch, generations):
                values[key] = sealed
        return Reading(values, Stamp(epoch, int(number)))

    def _scopes(self) -> list[str]:
        return list(dict.fromkeys(name for key in self.keys for name in scope_of(key).names))


def _opened(key: str, envelope: object) -> StoredValue | None:
    if not isinstance(envelope, bytes):
        return None
    try:
        return decode_envelope(key, envelope)
    except CacheError:
        return None


def _is_current(key: str, stamp: Stamp, epoch: bytes, generations: Mapping[str, int]) -> bool:
    return stamp.epoch == epoch and all(
        generations[name] <= stamp.number for name in scope_of(key).names
    )
