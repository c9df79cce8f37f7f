"""Wakes the event loop at a moment that is given to the microsecond.

The timers of asyncio and of uvloop round up to whole milliseconds, which is longer than many
answers take; the kernel's own do not (timerfd_create(2)).
"""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable

_CLOCK_MONOTONIC = 1  # the clock of time.perf_counter on Linux
_ABSOLUTE = 1
_NS = 1_000_000_000


class PreciseTimer:
    """Calls `wake` on the running loop when the moment that was set last has come."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """Raises OSError where the kernel has no such timers."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._fired)

    def set(self, moment_s: float) -> None:
        """Wake at this moment of time.perf_counter, or at once if it is past."""
        whole = max(1, int(moment_s * _NS))  # zero would disarm it
        spec = struct.pack("4l", 0, 0, *divmod(whole, _NS))  # no interval; seconds, nanoseconds
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, spec, None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        """Never wake again."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _fired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set again since
            return
        self._wake()
