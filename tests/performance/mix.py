"""The mix that goals are set for: 70 % single predictions, 30 % batches of ten, stocks by Zipf's
law, sent at a steady rate to several gateways in turn.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from preprocess.market import Floats
from tests.performance.rest_connection import RestConnection

BATCH = 10
SINGLE_SHARE = 0.7
# So many requests are under way at most: a loop that is late catches up.
_CONNECTIONS = 16


@dataclass(frozen=True)
class Mix:
    """Requests about `codes`, popular in a random order, as of one day."""

    codes: Sequence[str]
    day: str
    seed: int
    exponent: float = 1.0

    @property
    def shares(self) -> Floats:
        """How much of all asking each of `by_rank` gets, float64 [n]."""
        weights = np.arange(1, len(self.codes) + 1, dtype=np.float64) ** -self.exponent
        normed: Floats = weights / weights.sum()
        return normed

    @property
    def by_rank(self) -> list[str]:
        """The codes, the most asked for first."""
        order = np.random.default_rng(self.seed).permutation(len(self.codes))
        return [self.codes[place] for place in order.tolist()]

    def requests(self, count: int) -> Iterator[tuple[str, bytes]]:
        """`count` requests as path and body."""
        random = np.random.default_rng(self.seed + 1)
        ranked = self.by_rank
        bounds = np.cumsum(self.shares)
        singles = random.random(count) < SINGLE_SHARE
        for single in singles.tolist():
            draws = np.searchsorted(bounds, random.random(1 if single else BATCH))
            items = [self._item(ranked[min(rank, len(ranked) - 1)]) for rank in draws.tolist()]
            if single:
                yield "/api/v1/predict", items[0]
            else:
                body = b'{"predictions":[' + b",".join(items) + b"]}"
                yield "/api/v1/batch_predict", body

    def _item(self, code: str) -> bytes:
        return f'{{"bse_code":"{code}","prediction_date":"{self.day}"}}'.encode()


@dataclass
class Sent:
    """What became of the requests: latencies in ms, stocks answered, and those out of a cache.

    `late` are requests that the gateway gave up: its deadline was over, or it had no place.
    """

    latencies_ms: list[float] = field(default_factory=list)
    stocks: int = 0
    cached: int = 0
    late: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies_ms) / self.seconds


async def send(
    urls: Sequence[str], requests: Iterator[tuple[str, bytes]], *, rate: float, seconds: float
) -> Sent:
    """Send for so long, at `rate` requests a second as far as they can be answered.

    Raises:
        AssertionError: a request was refused, or a stock has no probability.
    """
    sent = Sent()
    began = time.perf_counter()
    due = iter(range(int(rate * seconds)))

    async def worker(url: str) -> None:
        connection = await RestConnection.open(url)
        try:
            for number in due:
                wait_s = began + number / rate - time.perf_counter()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                elif time.perf_counter() - began > seconds:
                    return
                path, body = next(requests)
                asked = time.perf_counter()
                status, content = await connection.post(path, body)
                sent.latencies_ms.append((time.perf_counter() - asked) * 1e3)
                _count(sent, status, content)
        finally:
            connection.close()

    await asyncio.gather(*(worker(urls[n % len(urls)]) for n in range(_CONNECTIONS)))
    sent.seconds = time.perf_counter() - began
    return sent


def _count(sent: Sent, status: int, content: bytes) -> None:
    found = msgspec.json.decode(content)
    if status in (503, 504):
        sent.late += 1
        return
    if status != 200:
        raise AssertionError(f"{status}: {found}")
    for answer in found if isinstance(found, list) else [found]:
        if not 0.0 <= (answer["probability"] if answer["probability"] is not None else -1.0) <= 1.0:
            raise AssertionError(f"no probability: {answer}")
        sent.stocks += 1
        sent.cached += answer["cached"]
