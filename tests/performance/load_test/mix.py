"""The mix that the goals are set for: 70 % single predictions, 30 % batches of ten stocks.

Which stocks are requested follows Zipf's law: the k-th most popular one gets a share that is
proportional to 1/k. Of 11,000 stocks the first gets a tenth of the requests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.market.values import Floats
from tests.performance.pairs import Pair

BATCH = 10
SINGLE_SHARE = 0.7
PREDICT, BATCH_PREDICT = "/api/v1/predict", "/api/v1/batch_predict"

EXPONENT = 1.0
# So many stocks are drawn for a batch at a time, until ten differ.
_DRAWN = 16


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its pairs, in the order in which the predictions must come."""

    pairs: tuple[Pair, ...]
    is_batch: bool

    @property
    def path(self) -> str:
        """Where it is sent."""
        return BATCH_PREDICT if self.is_batch else PREDICT

    @property
    def body(self) -> bytes:
        """The JSON document that is sent."""
        items = [f'{{"bse_code":"{code}","prediction_date":"{day}"}}' for code, day in self.pairs]
        return (f'{{"predictions":[{",".join(items)}]}}' if self.is_batch else items[0]).encode()


@dataclass(frozen=True)
class Mix:
    """Requests about stocks, each as of one day.

    The seed decides which stocks are popular; `number` tells apart loads that come one after
    another, in which the same stocks are popular.
    """

    pairs: Sequence[Pair]
    seed: int
    number: int = 0

    @property
    def popular(self) -> list[Pair]:
        """The pairs, the most popular first."""
        order = np.random.default_rng(self.seed).permutation(len(self.pairs))
        return [self.pairs[index] for index in order.tolist()]

    @property
    def shares(self) -> Floats:
        """The share of all requests that each of `popular` gets, float64 [n]."""
        weights = np.arange(1, len(self.pairs) + 1, dtype=np.float64) ** -EXPONENT
        normed: Floats = weights / weights.sum()
        return normed

    def calls(self) -> Iterator[Call]:
        """Requests without end, the same each time; no stock is twice in a batch."""
        popular = self.popular
        random = np.random.default_rng((self.seed, self.number))
        bounds = np.cumsum(self.shares)
        bounds[-1] = 1.0
        wanted = min(BATCH, len(popular))
        while True:
            for single in (random.random(512) < SINGLE_SHARE).tolist():
                if single:
                    rank = int(np.searchsorted(bounds, random.random()))
                    yield Call((popular[rank],), is_batch=False)
                    continue
                ranks: dict[int, None] = {}
                while len(ranks) < wanted:
                    drawn = np.searchsorted(bounds, random.random(_DRAWN))
                    ranks |= dict.fromkeys(drawn.tolist())
                yield Call(tuple(popular[rank] for rank in [*ranks][:wanted]), is_batch=True)


@dataclass(frozen=True)
class Once:
    """The same mix, but no pair of stock and day comes twice: nothing of it is cached."""

    pairs: Sequence[Pair]
    seed: int

    def calls(self) -> Iterator[Call]:
        """Requests until the pairs are used up."""
        random = np.random.default_rng(self.seed)
        begin = 0
        while begin + BATCH <= len(self.pairs):
            is_batch = bool(random.random() >= SINGLE_SHARE)
            count = BATCH if is_batch else 1
            yield Call(tuple(self.pairs[begin : begin + count]), is_batch)
            begin += count
