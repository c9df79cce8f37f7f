"""Invalidations in a file of the data folder: for processes of one machine, Redis or not.

A line a notice, appended under a lock; the first line is a random name. A reader compares the
file's size before each answer that it gives out of its memory, which takes a microsecond or two.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from preprocess.cache.invalidation import Invalidation, Notice
from preprocess.errors import CacheError

NOTICES_FILE = "invalidations.jsonl"
LARGEST = 2 * 1024 * 1024
# Nothing lives longer in Redis than an hour: what it missed before that is gone by itself.
OWED_S = 7200.0


@dataclass(frozen=True, slots=True)
class News:
    """What was written since one looked last; `lost`: it can no longer be told what."""

    notices: tuple[Notice, ...] = ()
    lost: bool = False


class NoticeFile:
    """The notices of one data folder. Its owner calls it from one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """The file is made if it is not there. What it says already counts as read.

        Raises:
            CacheError: the folder cannot be written to.
        """
        self._path = folder / NOTICES_FILE
        self._name = str(self._path)  # a Path is made text anew each time that it is asked about
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._alone():
                if not self._path.exists():
                    self._begin()
            self._file = os.open(self._path, os.O_RDONLY)
        except OSError as error:
            raise CacheError(
                f"{self._path} cannot be used: {error}. Processes that share a data folder tell "
                "one another in it what is no longer to be answered out of their caches."
            ) from error
        found = os.fstat(self._file)
        self._inode, self._read = found.st_ino, found.st_size
        self._done = (found.st_ino, found.st_size)
        self.owed_before = tuple(_owed(os.pread(self._file, found.st_size, 0)))

    def has_news(self) -> bool:
        """Whether anything was written that `done` has not been said of."""
        try:
            found = os.stat(self._name)  # noqa: PTH116 - a third of the time of Path.stat
        except OSError:
            return True
        return (found.st_ino, found.st_size) != self._done

    def news(self) -> News:
        """The notices since the last look."""
        try:
            found = os.stat(self._name)  # noqa: PTH116 - as above
        except OSError:
            with self._alone():
                if not self._path.exists():
                    self._begin()
            found = os.stat(self._name)  # noqa: PTH116 - as above
        if found.st_ino != self._inode or found.st_size < self._read:
            # The old file stays open until here: its inode is given to no other meanwhile.
            fresh = os.open(self._path, os.O_RDONLY)
            os.close(self._file)
            self._file = fresh
            found = os.fstat(fresh)
            self._inode, self._read = found.st_ino, found.st_size
            owed = tuple(_owed(os.pread(fresh, found.st_size, 0)))
            return News(owed, lost=True)
        text = os.pread(self._file, found.st_size - self._read, self._read)
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        notices = [Notice.from_bytes(line) for line in whole.splitlines()]
        return News(tuple(notice for notice in notices if notice is not None), lost=None in notices)

    def done(self) -> None:
        """What `news` gave last has been heeded."""
        self._done = (self._inode, self._read)

    def write(self, notice: Notice) -> None:
        """Append a notice.

        Raises:
            OSError: it cannot be written.
        """
        with self._alone():
            if not self._path.exists() or self._path.stat().st_size > LARGEST:
                self._begin()
            with self._path.open("ab", buffering=0) as file:
                file.write(notice.to_bytes() + b"\n")

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _begin(self) -> None:
        """A new file in the place of the old one; readers of the old one forget everything."""
        lines = [secrets.token_hex(8).encode()]
        if self._path.exists() and any(_owed(self._path.read_bytes())):
            everything = Notice("", Invalidation(everything=True), owed=True, moment=time.time())
            lines.append(everything.to_bytes())
        staged = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        staged.write_bytes(b"\n".join(lines) + b"\n")
        staged.replace(self._path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _owed(text: bytes) -> Iterator[Notice]:
    """The notices that Redis missed not long ago."""
    oldest = time.time() - OWED_S
    for line in text.splitlines()[1:]:
        notice = Notice.from_bytes(line)
        if notice is not None and notice.owed and notice.moment > oldest:
            yield notice
