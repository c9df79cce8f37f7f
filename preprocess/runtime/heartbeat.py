"""A file that says when a server last answered rightly, for a probe that costs next to nothing."""

from collections.abc import Awaitable, Callable
from pathlib import Path


class Heartbeat:
    """A check that touches a file each time that it passes. Its age is the age of the answer.

    An orchestrator that asked by a command of its own would start Python, and half a second of a
    core's time, for what the supervisor has just found out.
    """

    def __init__(self, check: Callable[[float], Awaitable[object]], file: Path) -> None:
        self._check = check
        self._file = file

    async def __call__(self, timeout_s: float) -> None:
        """Check, and touch the file.

        Raises:
            TimeoutError, ServerError: as the check does; the file then keeps its age.
        """
        await self._check(timeout_s)
        self._file.touch()
