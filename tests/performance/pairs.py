"""Pairs of stock and day for which predictions are requested."""

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from preprocess.errors import TeziError
from preprocess.features.row import MINIMUM_ROWS
from preprocess.market.calendar import from_day_number
from preprocess.market.columns import MarketColumns

Indices = NDArray[np.int64]
# A stock's code and a day, as ISO text.
Pair = tuple[str, str]
# One list of pairs for each repetition of a measurement.
Chunks = Sequence[Sequence[Pair]]


def predictable_rows(columns: MarketColumns) -> tuple[Indices, Indices]:
    """Stock index and day number of every price row with enough history before it, each [n]."""
    prices = columns.prices
    stocks = np.repeat(np.arange(len(columns)), np.diff(prices.starts))
    enough = np.arange(prices.rows) - prices.starts[stocks] >= MINIMUM_ROWS
    return stocks[enough], np.asarray(prices["day"])[enough]


def as_pairs(columns: MarketColumns, stocks: Indices, days: Indices) -> list[Pair]:
    """Stock indices and day numbers as text."""
    texts = {day: from_day_number(day).isoformat() for day in np.unique(days).tolist()}
    codes = columns.codes[stocks].astype("U6").tolist()
    return [(code, texts[day]) for code, day in zip(codes, days.tolist(), strict=True)]


def random_pairs(columns: MarketColumns, count: int, seed: int) -> list[Pair]:
    """At most `count` pairs of stock and trading day with enough history, none twice."""
    stocks, days = predictable_rows(columns)
    order = np.random.default_rng(seed).permutation(len(stocks))[:count]
    return as_pairs(columns, stocks[order], days[order])


def random_chunks(columns: MarketColumns, count: int, repetitions: int, seed: int) -> Chunks:
    """`count` pairs for each repetition, none twice; a tenth of the days are moved to the next."""
    random = np.random.default_rng(seed)
    stocks, days = predictable_rows(columns)
    # Twice as many as needed: a day moved to the next may be there already.
    order = random.permutation(len(stocks))[: 2 * count * repetitions]
    moved = days[order] + (random.random(len(order)) < 0.1)
    pairs = list(dict.fromkeys(as_pairs(columns, stocks[order], moved)))
    return [pairs[start : start + count] for start in range(0, count * repetitions, count)]


def chunks_by_day(
    columns: MarketColumns, count: int, days: Sequence[date], seed: int
) -> list[list[Pair]]:
    """For each day, `count` stocks that have enough history by then; other stocks each day."""
    able = np.flatnonzero(np.diff(columns.prices.starts) > MINIMUM_ROWS + len(days))
    # In a small market stocks come again, on another day.
    order = np.resize(np.random.default_rng(seed).permutation(able), count * len(days))
    codes = [code.decode() for code in columns.codes[order].tolist()]
    return [
        [(code, day.isoformat()) for code in codes[start : start + count]]
        for start, day in zip(range(0, count * len(days), count), days, strict=True)
    ]


def newest_days(columns: MarketColumns, count: int) -> list[date]:
    """The newest days on which anything traded, newest first."""
    days = np.unique(columns.prices["day"])[-count:]
    return [from_day_number(day) for day in days[::-1].tolist()]


def newest_pairs(columns: MarketColumns) -> list[Pair]:
    """Every stock with enough history, on the market's newest day."""
    enough = np.flatnonzero(np.diff(columns.prices.starts) >= MINIMUM_ROWS)
    newest = np.full(len(enough), columns.prices["day"].max())
    return as_pairs(columns, enough, newest)


class PastPairs:
    """Pairs of stock and past trading day with enough history, in a random order, each once."""

    def __init__(self, columns: MarketColumns, seed: int) -> None:
        stocks, days = predictable_rows(columns)
        past = np.flatnonzero(days < days.max())
        rows = np.random.default_rng(seed).permutation(past)
        self._columns, self._stocks, self._days = columns, stocks[rows], days[rows]
        self._taken = 0

    def take(self, count: int) -> list[Pair]:
        """`count` pairs that were not taken before.

        Raises:
            TeziError: fewer are left.
        """
        begin, self._taken = self._taken, self._taken + count
        if self._taken > len(self._days):
            raise TeziError(
                f"The market has {len(self._days):,} pairs of stock and day, and all were "
                "requested: choose a smaller --scale."
            )
        chosen = slice(begin, self._taken)
        return as_pairs(self._columns, self._stocks[chosen], self._days[chosen])
