"""The requests in flight, and the drain before the process ends."""

from typing import Literal

Side = Literal[0, 1]


class Traffic:
    """Counts requests in flight: those that came before the drain apart from those after it."""

    def __init__(self) -> None:
        self._counts = [0, 0]
        self._side: Side = 0

    @property
    def in_flight(self) -> int:
        """Requests in flight."""
        return sum(self._counts)

    @property
    def draining(self) -> bool:
        """Whether this process is about to end, so that callers should use another one."""
        return self._side == 1

    @property
    def drained(self) -> bool:
        """Whether every request that came before the drain has been answered."""
        return self.draining and self._counts[0] == 0

    def drain(self) -> None:
        """Start the drain."""
        self._side = 1

    def enter(self) -> Side:
        """A request starts; pass the returned value to `leave`."""
        self._counts[self._side] += 1
        return self._side

    def leave(self, side: Side) -> None:
        """The request has ended."""
        self._counts[side] -= 1
