"""A file by which processes that share a data folder tell one another of a clear.

A byte is appended for each clear. A process compares the file's size at most five times a second,
before it answers from its local tier, and forgets everything when it has changed; a clear returns
when every process must have looked. This is how replicas without Redis hear of a clear, and how
they learn that Redis has missed one. Changes of the market do not go this way: each process
follows the change log itself.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from preprocess.errors import CacheError

CLEARS_FILE = "clears"
POLL_S = 0.2
# Every process has looked so long after a clear was written.
HEARD_S = POLL_S + 0.02
# No value lives longer in Redis than an hour: what it missed before that has expired.
_OWED_S = 7200.0
_TOLD, _OWED = b".", b"!"


class ClearsFile:
    """The clears of one data folder. `look` is called by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """Earlier clears count as heard.

        Raises:
            CacheError: the folder cannot be written to.
        """
        self._path = folder / CLEARS_FILE
        self._append(b"")
        self._heard = self._state()
        self._looked = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the file has to be looked at before the next answer."""
        return time.monotonic() - self._looked >= POLL_S

    @property
    def is_owed(self) -> bool:
        """Whether Redis may have missed a clear of the last hours."""
        try:
            recent = time.time() - self._path.stat().st_mtime < _OWED_S
            return recent and _OWED in self._path.read_bytes()
        except OSError:
            return False

    def look(self, forget: Callable[[], None]) -> None:
        """Call `forget` if another process has cleared something since the last look."""
        began = time.monotonic()
        state = self._state()
        if state != self._heard:
            forget()
            self._heard = state
        self._looked = began

    def write(self, *, owed: bool) -> None:
        """Tell the others, who hear within `HEARD_S`; `owed`: Redis could not be told.

        Raises:
            CacheError: the file cannot be written.
        """
        inode, size, _ = self._heard
        self._append(_OWED if owed else _TOLD)
        state = self._state()
        if state[:2] == (inode, size + 1):  # no other process's byte is among them
            self._heard = state

    def _append(self, byte: bytes) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as file:
                file.write(byte)
        except OSError as error:
            raise CacheError(
                f"{self._path} cannot be written ({error}): other processes of this data folder "
                "may still answer from what was to be forgotten."
            ) from error

    def _state(self) -> tuple[int, int, int]:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - a third of the time of Path.stat
        except OSError:
            return 0, 0, 0
        return found.st_ino, found.st_size, found.st_mtime_ns
