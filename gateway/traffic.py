"""The requests under way, and the end of accepting more."""

from typing import Literal

Side = Literal[0, 1]


class Traffic:
    """Counts requests; once draining, those that came before and those that came after apart."""

    def __init__(self) -> None:
        self._counts = [0, 0]
        self._side: Side = 0

    @property
    def under_way(self) -> int:
        """Requests that have begun and not ended."""
        return sum(self._counts)

    @property
    def draining(self) -> bool:
        """Whether this process is about to end: callers should turn to another."""
        return self._side == 1

    @property
    def drained(self) -> bool:
        """Whether every request that came before the drain has been answered."""
        return self.draining and self._counts[0] == 0

    def drain(self) -> None:
        """Say from now on that this process is about to end."""
        self._side = 1

    def enter(self) -> Side:
        """A request begins; give the returned value back to `leave`."""
        self._counts[self._side] += 1
        return self._side

    def leave(self, side: Side) -> None:
        """It has ended."""
        self._counts[side] -= 1
