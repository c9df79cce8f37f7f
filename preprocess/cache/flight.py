"""One computation a key at a time: whoever asks while it runs waits for what it gives."""

import threading
from collections.abc import Callable


class _Flight:
    """A computation under way."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.landed = False
        self.result: object = None
        self.error: Exception | None = None


class SingleFlight:
    """Computations by key. Safe to share between threads."""

    def __init__(self, *, wait_s: float) -> None:
        """A caller waits at most `wait_s` for another's computation, then makes its own."""
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}

    def run(self, key: str, compute: Callable[[], object]) -> object:
        """What `compute` gives, by whichever caller computes it; its error likewise."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                mine = self._flights[key] = _Flight()
        if flight is None:
            return self._lead(key, mine, compute)
        if not flight.done.wait(self._wait_s) or not flight.landed:
            return compute()  # the one that led is stuck or was stopped: nobody else must be
        if flight.error is not None:
            raise flight.error
        return flight.result

    def forget(self) -> None:
        """Whoever asks from now on computes anew, even if an older computation still runs."""
        with self._lock:
            self._flights.clear()

    def _lead(self, key: str, flight: _Flight, compute: Callable[[], object]) -> object:
        try:
            flight.result = compute()
            flight.landed = True
        except Exception as error:
            flight.error = error
            flight.landed = True
            raise
        finally:
            with self._lock:
                if self._flights.get(key) is flight:
                    del self._flights[key]
            flight.done.set()
        return flight.result
