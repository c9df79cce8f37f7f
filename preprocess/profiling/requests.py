"""The requests of a profile: other stocks and days each time, so that no cache helps."""

from dataclasses import dataclass

import numpy as np

from preprocess.calendar import from_day_number
from preprocess.columns import MarketColumns
from preprocess.errors import StoreError
from preprocess.features.row import MINIMUM_ROWS

Pair = tuple[str, str]
"""A BSE code and an ISO date."""

_DAYS_BACK = 250


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of request: its name, and the stocks in one."""

    name: str
    rows: int

    @property
    def path(self) -> str:
        """Where the gateway takes it."""
        return "/api/v1/predict" if self.rows == 1 else "/api/v1/batch_predict"


ONE = Shape("one", 1)
BATCH = Shape("batch", 100)


class FreshPairs:
    """Pairs of a stock and one of its last 250 trading days, none twice before all were given."""

    def __init__(self, columns: MarketColumns, *, seed: int) -> None:
        """Raises StoreError where no stock has a history that is long enough."""
        starts = columns.prices.starts
        firsts = np.maximum(starts[:-1] + MINIMUM_ROWS, starts[1:] - _DAYS_BACK)
        counts = np.maximum(starts[1:] - firsts, 0)
        if not counts.any():
            raise StoreError(
                f"No stock has more than {MINIMUM_ROWS} price rows: import prices, or run "
                "`tezi demo`."
            )
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = np.repeat(firsts, counts) + offsets
        order = np.random.default_rng(seed).permutation(len(rows))
        self._codes = columns.codes[np.repeat(np.arange(len(columns)), counts)[order]]
        self._days = columns.prices["day"][rows[order]]
        self._next = 0

    def take(self, count: int) -> list[Pair]:
        """The next `count` pairs."""
        places = np.arange(self._next, self._next + count) % len(self._codes)
        self._next += count
        return [
            (code.decode(), from_day_number(day).isoformat())
            for code, day in zip(
                self._codes[places].tolist(), self._days[places].tolist(), strict=True
            )
        ]
