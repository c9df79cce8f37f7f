"""The mix that goals are set for: 70 % single predictions, 30 % batches of ten, stocks by Zipf's
law, sent at a steady rate to several gateways in turn.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from preprocess.market.values import Floats
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


async def send(
    urls: Sequence[str], requests: Iterator[tuple[str, bytes]], *, rate: float, seconds: float
) -> None:
    """Send for so long, at `rate` requests a second as far as they can be answered.

    Raises:
        AssertionError: a request was refused, or a stock has no probability.
    """
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
                _check(*await connection.post(*next(requests)))
        finally:
            connection.close()

    await asyncio.gather(*(worker(urls[n % len(urls)]) for n in range(_CONNECTIONS)))


def _check(status: int, content: bytes) -> None:
    if status in (503, 504):  # the gateway was too busy, which is no fault of its caches
        return
    found = msgspec.json.decode(content)
    answers = found if isinstance(found, list) else [found]
    if status != 200 or any(answer["probability"] is None for answer in answers):
        raise AssertionError(f"{status}: {found}")
