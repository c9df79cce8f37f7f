"""The tier in the process: a few values, for a short time, the least recently used leave first."""

import time
from collections.abc import Callable, Iterable
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
        # What ended by itself stays listed, for twice as many keys as are held at most.
        self._groups: dict[str, list[str]] = {}
        self._grouped = 0
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

    def put(self, key: str, body: bytes, until: float, group: str | None = None) -> None:
        """Hold a value until `until`; one whose time is over, or that has no room, is not held.

        `group` is a name by which a few keys are dropped together; a key's is always the same.
        """
        self._entries.pop(key, None)
        if until <= self._clock() or len(body) + _OVERHEAD > self._entries.maxsize:
            return
        with suppress(KeyError):  # the last ones ended by themselves meanwhile
            while len(self._entries) >= self._most:
                self._entries.popitem()
        self._entries[key] = (body, until)
        if group is not None:
            self._list(key, group)

    def drop(self, chosen: Callable[[str], bool]) -> int:
        """Forget the keys that `chosen` says yes to; how many there were."""
        keys = [key for key in self._entries if chosen(key)]
        for key in keys:
            self._entries.pop(key, None)
        if not self._entries:
            self._groups, self._grouped = {}, 0
        return len(keys)

    def drop_groups(self, groups: Iterable[str]) -> int:
        """Forget the keys of these groups, without a look at the others; how many there were."""
        count = 0
        for group in groups:
            keys = self._groups.pop(group, [])
            self._grouped -= len(keys)
            count += sum(self._entries.pop(key, None) is not None for key in keys)
        return count

    @property
    def size(self) -> int:
        """Bytes held, about."""
        return int(self._entries.currsize)

    def __len__(self) -> int:
        return len(self._entries)

    def _list(self, key: str, group: str) -> None:
        keys = self._groups.setdefault(group, [])
        if key in keys:
            return
        keys.append(key)
        self._grouped += 1
        if self._grouped > 2 * self._most:
            held = {
                name: [each for each in listed if each in self._entries]
                for name, listed in self._groups.items()
            }
            self._groups = {name: listed for name, listed in held.items() if listed}
            self._grouped = sum(map(len, self._groups.values()))
