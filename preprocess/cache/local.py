"""The tier in the process: a few values, for a short time, the least recently used leave first."""

import threading
import time
from collections.abc import Callable

from cachetools import TLRUCache

Clock = Callable[[], float]


class LocalTier:
    """Envelopes by key, each until its own moment. Safe to share between threads."""

    def __init__(self, entries: int, *, clock: Clock = time.monotonic) -> None:
        """Hold at most `entries`; moments are seconds of `clock`."""
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: TLRUCache[str, tuple[bytes, float]] = TLRUCache(
            entries, ttu=lambda _key, entry, _now: entry[1], timer=clock
        )

    def get(self, key: str) -> bytes | None:
        """The envelope, unless its time is over."""
        with self._lock:
            found = self._entries.get(key)
        return None if found is None else found[0]

    def put(self, key: str, envelope: bytes, until: float) -> None:
        """Hold an envelope until `until`; a moment that has passed holds nothing."""
        with self._lock:
            if until <= self._clock():
                self._entries.pop(key, None)
            else:
                self._entries[key] = (envelope, until)

    def drop(self, chosen: Callable[[str], bool]) -> list[str]:
        """Forget the keys that `chosen` says yes to; which they were."""
        with self._lock:
            keys = [key for key in self._entries if chosen(key)]
            for key in keys:
                self._entries.pop(key, None)
        return keys

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)
