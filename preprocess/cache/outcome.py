"""What comes of a computation."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Uncached:
    """What a computation gives for a key that is to be answered, but not kept."""

    value: object


@dataclass(frozen=True, slots=True)
class Landed:
    """Bytes that the cache keeps, something that it does not, or neither: the key was left out."""

    body: bytes | None = None
    loose: Uncached | None = None
