"""A steady load through nginx in which every answer is looked at."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

# Code, day and the probability that is right.
Asked = tuple[str, str, float]


@dataclass
class Load:
    """What came of it so far. A failure is anything but a right answer.

    Of the failures `refused` were answered 503 with Retry-After or 504, `wrong` with another answer
    than the right one, and the others are `lost`. `held` came out of a cache. `away_s` is from the
    first failure to the last.
    """

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    wrong: int = 0
    held: int = 0
    slowest_s: float = 0.0
    _failed_at: list[float] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def away_s(self) -> float:
        """Seconds between the first failure and the last."""
        return max(self._failed_at, default=0.0) - min(self._failed_at, default=0.0)

    def summary(self) -> str:
        """One line on what came of it."""
        return (
            f"{self.answered} requests, {self.refused} refused, {len(self.lost)} lost, "
            f"{self.wrong} wrong, for {self.away_s:.1f} s; slowest {self.slowest_s * 1e3:.0f} ms"
        )

    def count(self, outcome: "Outcome", began: float, ended: float) -> None:
        """One request has ended."""
        with self._lock:
            self.answered += 1
            self.slowest_s = max(self.slowest_s, ended - began)
            self.refused += outcome.refused
            self.wrong += outcome.wrong
            self.held += outcome.held
            if outcome.failure:
                self.failures.append(outcome.failure)
                self._failed_at.append(ended)
                if not outcome.refused and not outcome.wrong:
                    self.lost.append(f"{outcome.failure} after {ended - began:.1f} s")


@dataclass(frozen=True)
class Outcome:
    """What one request came to; `failure` says what was wrong with it."""

    failure: str | None = None
    refused: bool = False
    wrong: bool = False
    held: bool = False


@contextmanager
def steady_load(
    url: str, expected: Sequence[Asked], *, callers: int = 4, per_second: float = 100.0
) -> Iterator[Load]:
    """Ask for each of `expected` in turn while the block runs."""
    load, stop = Load(), threading.Event()

    def call(number: int) -> None:
        with httpx.Client(base_url=url, timeout=5.0, trust_env=False) as client:
            turn = number
            while not stop.wait(callers / per_second):
                asked = expected[turn % len(expected)]
                turn += callers
                began = time.monotonic()
                load.count(_outcome(client, asked), began, time.monotonic())

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _outcome(client: httpx.Client, asked: Asked) -> Outcome:
    code, day, probability = asked
    try:
        response = client.post("/api/v1/predict", json={"bse_code": code, "prediction_date": day})
    except httpx.HTTPError as error:
        return Outcome(f"{code} {day}: {error!r}")
    if response.status_code != 200:
        return Outcome(
            f"{code} {day}: {response.status_code} {response.text}",
            refused=response.status_code == 504
            or (response.status_code == 503 and "retry-after" in response.headers),
        )
    found = response.json()
    if (found["bse_code"], found["prediction_date"]) != (code, day) or (
        abs(found["probability"] - probability) > 1e-6
    ):
        return Outcome(f"{code} {day}: {found} instead of {probability}", wrong=True)
    return Outcome(held=found["cached"])
