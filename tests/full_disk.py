"""A disk that fills up, and Ctrl-C, at each file that is written, one after the other."""

import asyncio
import errno
from pathlib import Path


class Trouble:
    """Strikes when a file is brought to the disk: at the call of that number, or from it on."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.at = self.calls = 0

    def __call__(self, path: Path) -> None:
        self.calls += path.is_file()
        if not self.at or not path.is_file() or self.calls < self.at:
            return
        if self.kind == "full for good" or self.calls == self.at:
            self.strike()

    def strike(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


class Cancelled(Trouble):
    """Ctrl-C: the work that is under way ends, and the command with it."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()

    def strike(self) -> None:
        assert self.task is not None
        self.loop.call_soon_threadsafe(self.task.cancel)
