"""A steady load through nginx in which every answer is looked at."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx


@dataclass
class Load:
    """What came of it so far. A failure is anything but a right answer."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, failure: str | None, seconds: float) -> None:
        """One request has ended."""
        with self._lock:
            self.answered += 1
            self.slowest_s = max(self.slowest_s, seconds)
            if failure:
                self.failures.append(failure)


@contextmanager
def steady_load(
    url: str,
    day: str,
    expected: Sequence[tuple[str, float]],
    *,
    callers: int = 4,
    per_second: float = 100.0,
) -> Iterator[Load]:
    """Ask for the stocks of `expected`, pairs of code and probability, while the block runs."""
    load, stop = Load(), threading.Event()

    def call(number: int) -> None:
        with httpx.Client(base_url=url, timeout=5.0, trust_env=False) as client:
            turn = number
            while not stop.wait(callers / per_second):
                code, probability = expected[turn % len(expected)]
                turn += callers
                began = time.monotonic()
                load.count(_failure(client, code, day, probability), time.monotonic() - began)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _failure(client: httpx.Client, code: str, day: str, probability: float) -> str | None:
    try:
        response = client.post("/api/v1/predict", json={"bse_code": code, "prediction_date": day})
    except httpx.HTTPError as error:
        return f"{code}: {error!r}"
    if response.status_code != 200:
        return f"{code}: {response.status_code} {response.text}"
    found = response.json()
    if found["bse_code"] != code or abs(found["probability"] - probability) > 1e-6:
        return f"{code}: {found} instead of {probability}"
    return None
