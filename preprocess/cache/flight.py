"""One computation a key at a time: whoever asks while it runs waits for what it gives."""

import threading
from collections.abc import Callable, Sequence

from preprocess.cache.core import Moment
from preprocess.cache.outcome import Landed


class Flight:
    """A computation under way, and the moment from which on it may be joined."""

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self._done = threading.Event()
        self._landed: Landed | None = None
        self._error: Exception | None = None

    def land(self, landed: Landed | None = None, error: Exception | None = None) -> None:
        """It is over; without a result and without an error it was cut off."""
        if not self._done.is_set():
            self._landed, self._error = landed, error
            self._done.set()

    def wait(self, seconds: float) -> Landed | None:
        """What it gave; None if it is stuck or was cut off. Raises what it raised."""
        if not self._done.wait(seconds):
            return None
        if self._error is not None:
            raise self._error
        return self._landed


class Flights:
    """Computations by key. Safe to share between threads."""

    def __init__(self, may_join: Callable[[str, Moment], bool]) -> None:
        """`may_join`: whether a computation of a key that began at a moment is recent enough."""
        self._may_join = may_join
        self._lock = threading.Lock()
        self._flights: dict[str, Flight] = {}

    def board(
        self, keys: Sequence[str], moment: Moment
    ) -> tuple[dict[str, Flight], dict[str, Flight]]:
        """Flights that the caller has to make, and those of others that it may wait for."""
        mine: dict[str, Flight] = {}
        others: dict[str, Flight] = {}
        with self._lock:
            for key in keys:
                flight = self._flights.get(key)
                if flight is not None and self._may_join(key, flight.moment):
                    others[key] = flight
                else:
                    mine[key] = self._flights[key] = Flight(moment)
        return mine, others

    def leave(self, mine: dict[str, Flight]) -> None:
        """These have landed, or are given up."""
        with self._lock:
            for key, flight in mine.items():
                if self._flights.get(key) is flight:
                    del self._flights[key]
        for flight in mine.values():
            flight.land()
