"""The mix that the goals are set for: 70 % single predictions, 30 % batches of ten stocks.

Which stocks are asked for follows Zipf's law: the k-th most popular one gets a share that is
proportional to 1/k. Of 11,000 stocks the first gets a tenth of the questions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from preprocess.errors import TeziError
from preprocess.features.row import MINIMUM_ROWS
from preprocess.market.calendar import from_day_number
from preprocess.market.columns import MarketColumns

BATCH = 10
SINGLE_SHARE = 0.7
PREDICT, BATCH_PREDICT = "/api/v1/predict", "/api/v1/batch_predict"

_EXPONENT = 1.0
# So many stocks are drawn for a batch at a time, until ten differ.
_DRAWN = 16

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what it asks for, in the order in which the answers must come."""

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
    """Requests about stocks as of one day each.

    Which stocks are popular is drawn by the seed, and stays so; `number` tells apart loads that
    come one after another, in which the same stocks are popular.
    """

    pairs: Sequence[Pair]
    seed: int
    number: int = 0

    def calls(self) -> Iterator[Call]:
        """Requests without end, the same each time; no stock is twice in a batch."""
        order = np.random.default_rng(self.seed).permutation(len(self.pairs))
        popular = [self.pairs[place] for place in order.tolist()]
        random = np.random.default_rng((self.seed, self.number))
        weights = np.arange(1, len(popular) + 1, dtype=np.float64) ** -_EXPONENT
        bounds = np.cumsum(weights / weights.sum())
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
    """The same mix, but no pair of stock and day is asked for twice: nothing of it is cached."""

    pairs: Sequence[Pair]
    seed: int

    def calls(self) -> Iterator[Call]:
        """Requests until the pairs are used up."""
        random = np.random.default_rng(self.seed)
        place = 0
        while place + BATCH <= len(self.pairs):
            is_batch = bool(random.random() >= SINGLE_SHARE)
            count = BATCH if is_batch else 1
            yield Call(tuple(self.pairs[place : place + count]), is_batch)
            place += count


def newest_pairs(columns: MarketColumns) -> list[Pair]:
    """Every stock that has enough history, with the market's newest day."""
    starts = columns.prices.starts
    enough = np.flatnonzero(np.diff(starts) >= MINIMUM_ROWS)
    newest = from_day_number(int(columns.prices["day"].max())).isoformat()
    return [(code, newest) for code in columns.codes[enough].astype("U6").tolist()]


class PastPairs:
    """Pairs of stock and past trading day with enough history, in a random order, each once."""

    def __init__(self, columns: MarketColumns, seed: int) -> None:
        prices = columns.prices
        places = np.repeat(np.arange(len(columns)), np.diff(prices.starts))
        days = prices["day"]
        enough = np.arange(prices.rows) - prices.starts[places] >= MINIMUM_ROWS
        rows = np.flatnonzero(enough & (days < days.max()))
        rows = np.random.default_rng(seed).permutation(rows)
        self._codes = columns.codes.astype("U6")
        self._places, self._days = places[rows], np.asarray(days)[rows]
        self._texts = {
            day: from_day_number(day).isoformat() for day in np.unique(self._days).tolist()
        }
        self._taken = 0

    def take(self, count: int) -> list[Pair]:
        """So many that were not taken before.

        Raises:
            TeziError: there are not so many left.
        """
        begin, self._taken = self._taken, self._taken + count
        if self._taken > len(self._days):
            raise TeziError(
                f"The market has {len(self._days):,} pairs of stock and day, and all were asked "
                "for: choose a smaller --scale."
            )
        chosen = slice(begin, self._taken)
        codes = self._codes[self._places[chosen]].tolist()
        days = self._days[chosen].tolist()
        return [(code, self._texts[day]) for code, day in zip(codes, days, strict=True)]
