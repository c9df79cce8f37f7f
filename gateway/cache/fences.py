"""Fences in the process: what was begun before an invalidation is not kept after it."""

from gateway.cache.invalidation import Invalidation
from gateway.cache.keys import scope_of

_NAMES = 50_000


class Fences:
    """Invalidations are numbered; each fence has the number of the last one that raised it.

    A stamp is the number at the beginning of a computation: a fence that was raised since has a
    greater one. Not locked: its owner holds a lock over it and the values behind it.
    """

    def __init__(self) -> None:
        self._number = 0
        self._everything = 0
        self._raised: dict[str, int] = {}

    @property
    def stamp(self) -> int:
        """The number of the newest invalidation."""
        return self._number

    def raise_for(self, invalidation: Invalidation) -> None:
        """From now on, what was begun earlier is stale in this scope."""
        self._number += 1
        for name in invalidation.fences:
            self._raised[name] = self._number
        if invalidation.everything or len(self._raised) > _NAMES:
            self._everything = self._number
            self._raised.clear()

    def holds(self, key: str, stamp: int) -> bool:
        """Whether what was begun at `stamp` for `key` may still be kept and served."""
        if stamp == self._number:
            return True
        if stamp < self._everything:
            return False
        return all(self._raised.get(name, 0) <= stamp for name in scope_of(key).fences)
