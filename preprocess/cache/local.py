"""The tier in the process: a few values, for a short time, the least recently used leave first."""

import time
from collections.abc import Callable
from contextlib import suppress

from cachetools import TLRUCache

Clock = Callable[[], float]

# What a key, its place and its moment take besides the value, roughly.
_OVERHEAD = 300

_Held = tuple[bytes, float]


class LocalTier:
    """Values as bytes by key, each until its own moment, bounded by number and by size.

    Not locked: its owner holds a lock over it and the fences.
    """

    def __init__(self, entries: int, size: int, *, clock: Clock = time.monotonic) -> None:
        """Hold at most `entries` values of `size` bytes together; moments are those of `clock`."""
        self._most = entries
        self._clock = clock
        self._entries: TLRUCache[str, _Held] = TLRUCache(
            size,
            ttu=lambda _key, entry, _now: entry[1],
            timer=clock,
            getsizeof=lambda entry: len(entry[0]) + _OVERHEAD,
        )

    def get(self, key: str) -> bytes | None:
        """The value, unless its time is over."""
        found = self._entries.get(key)
        return None if found is None else found[0]

    def put(self, key: str, body: bytes, until: float) -> None:
        """Hold a value until `until`; one whose time is over, or that has no room, is not held."""
        self._entries.pop(key, None)
        if until <= self._clock() or len(body) + _OVERHEAD > self._entries.maxsize:
            return
        with suppress(KeyError):  # the last ones ended by themselves meanwhile
            while len(self._entries) >= self._most:
                self._entries.popitem()
        self._entries[key] = (body, until)

    def drop(self, chosen: Callable[[str], bool]) -> int:
        """Forget the keys that `chosen` says yes to; how many there were."""
        keys = [key for key in self._entries if chosen(key)]
        for key in keys:
            self._entries.pop(key, None)
        return len(keys)

    @property
    def size(self) -> int:
        """Bytes held, about."""
        return int(self._entries.currsize)

    def __len__(self) -> int:
        return len(self._entries)
