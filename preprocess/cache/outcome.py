"""What comes of a computation."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Uncached:
    """What a computation gives for a key that is to be answered, but not kept."""

    value: object


@dataclass(frozen=True, slots=True)
class Landed:
    """Bytes that the cache keeps, something that it does not, or neither: the key was left out.

    `held`: the bytes were there already.
    """

    body: bytes | None = None
    loose: Uncached | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """Values by key, and the errors of those that could not be computed.

    `held` are the keys whose values the cache had.
    """

    values: Mapping[str, object]
    held: frozenset[str]
    errors: Mapping[str, Exception]
