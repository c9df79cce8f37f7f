"""Whether Redis may be used, and which invalidations it has missed."""

import logging
import threading

from gateway.cache.invalidation import Invalidation

# After so many failures in a row Redis counts as down: a single one may be a hiccup.
FAILURES_IN_A_ROW = 3
_REMEMBERED = 100

log = logging.getLogger("tezi.cache")


class Availability:
    """A circuit breaker, and the invalidations that Redis missed. Thread-safe.

    Redis is not used while it is down, nor before it has been told what it missed.
    """

    def __init__(self, retry_s: float, *, warns: bool = True) -> None:
        """`retry_s`: the pause between two attempts, for the message in the log if it `warns`."""
        self._retry_s = retry_s
        self._level = logging.WARNING if warns else logging.DEBUG
        self._lock = threading.Lock()
        self._is_up = True
        self._failures = 0
        self._owed: list[Invalidation] = []
        self.wake = threading.Event()

    @property
    def is_up(self) -> bool:
        """Whether Redis answers, as far as is known."""
        return self._is_up

    @property
    def may_be_asked(self) -> bool:
        """Whether it answers, and has been told every invalidation of this process."""
        return self._is_up and not self._owed

    @property
    def owed(self) -> Invalidation | None:
        """The next invalidation that Redis has to be told."""
        with self._lock:
            return self._owed[0] if self._owed else None

    def owe(self, invalidation: Invalidation) -> None:
        """Redis missed an invalidation; too many become one of everything."""
        with self._lock:
            if invalidation not in self._owed:
                if len(self._owed) >= _REMEMBERED:
                    self._owed = [Invalidation(everything=True)]
                else:
                    self._owed = [*self._owed, invalidation]
        if self._is_up:
            self.wake.set()

    def paid(self, invalidation: Invalidation) -> None:
        """Redis was told."""
        with self._lock:
            self._owed = [left for left in self._owed if left != invalidation]

    def failed(self, error: BaseException, *, at_once: bool = False) -> None:
        """Redis failed to answer, or answered nonsense; `at_once`: it counts as down now."""
        with self._lock:
            self._failures += 1
            falls = self._is_up and (at_once or self._failures >= FAILURES_IN_A_ROW)
            if falls:
                self._is_up = False
        if falls:
            log.log(
                self._level,
                "Redis does not answer (%s): caching in this process only, next try in %g s",
                str(error) or type(error).__name__,
                self._retry_s,
            )

    def answered(self) -> None:
        """Redis answered a caller."""
        if self._failures:
            self._failures = 0

    def came_back(self) -> None:
        """Redis answers, and has been told what it missed."""
        with self._lock:
            rises = not self._is_up
            self._is_up = True
            self._failures = 0
        if rises:
            log.log(self._level, "Redis answers again: caching in Redis too")
