"""The companies of the demo market, and the days on which each one trades."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.features.row import MINIMUM_ROWS
from preprocess.market.values import Floats

INDUSTRIES = (
    *("Automobiles", "Cement", "Chemicals", "Finance", "Paper"),
    *("Pharmaceuticals", "Power", "Software", "Steel", "Textiles"),
)

MOST_COMPANIES = 99_999

# Shares of all companies; a company belongs to one group at most.
THIN, GAPPY, NEW, SUSPENDED, SPLIT = 0.08, 0.08, 0.06, 0.02, 0.12

SHARE_EVENTS = (
    ("bonus", 2.0, "Bonus 1:1"),
    ("bonus", 1.5, "Bonus 1:2"),
    ("split", 5.0, "Face value split from Rs 10 to Rs 2 a share"),
    ("split", 10.0, "Face value split from Rs 10 to Re 1 a share"),
)

Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Companies:
    """All companies; arrays are [n] unless said otherwise.

    `industry` are indexes into INDUSTRIES. `price` (rupees), `shares_cr` (crore shares) and
    `daily_shares` (typical volume) are those of the first day. `volatility` (a day's) and `band`
    (the price limit) are fractions. `event` are indexes into SHARE_EVENTS, which take effect on
    trading day number `event_day`, or -1. `rows` [n, days] says on which days the stock trades.
    """

    industry: Ints
    price: Floats
    shares_cr: Floats
    daily_shares: Floats
    volatility: Floats
    band: Floats
    thin: Flags
    suspended: Flags
    event: Ints
    event_day: Ints
    rows: Flags

    def __len__(self) -> int:
        return len(self.price)

    @property
    def ratios(self) -> Floats:
        """[n, days]: new shares for each old one on ex-dates, else 1."""
        ratios = np.ones(self.rows.shape)
        (split,) = np.nonzero(self.event_day >= 0)
        ratios[split, self.event_day[split]] = _EVENT_RATIOS[self.event[split]]
        return ratios


_EVENT_RATIOS = np.array([ratio for _, ratio, _ in SHARE_EVENTS])


def draw_companies(rng: np.random.Generator, count: int, days: int) -> Companies:
    """`count` companies of a market that lasts `days` trading days."""
    ends = np.cumsum([round(share * count) for share in (THIN, GAPPY, NEW, SUSPENDED, SPLIT)])
    thin, gappy, new, halted, split = np.split(rng.permutation(count), ends)[:5]
    event, event_day = rng.integers(len(SHARE_EVENTS), size=count), np.full(count, -1)
    event_day[split] = rng.integers(days // 10, days - 5, len(split))
    price = np.exp(rng.normal(5.2, 1.0, count)).clip(8.0, 6000.0)
    price[split] = np.maximum(price[split], 60.0) * _EVENT_RATIOS[event[split]]
    shares_cr = np.exp(rng.normal(6.7, 1.6, count)) / price
    daily_shares = np.maximum(shares_cr * 2e4, 500.0)
    daily_shares[thin] = rng.uniform(4.0, 120.0, len(thin))
    band = rng.choice((0.05, 0.10, 0.20), size=count, p=(0.08, 0.30, 0.62))
    band[thin] = 0.05
    return Companies(
        industry=rng.integers(len(INDUSTRIES), size=count),
        price=price,
        shares_cr=shares_cr,
        daily_shares=daily_shares,
        volatility=rng.uniform(0.010, 0.021, count),
        band=band,
        thin=np.isin(np.arange(count), thin),
        suspended=np.isin(np.arange(count), halted),
        event=event,
        event_day=event_day,
        rows=_rows(rng, (count, days), gappy, new, halted),
    )


def _rows(
    rng: np.random.Generator, shape: tuple[int, int], gappy: Ints, new: Ints, halted: Ints
) -> Flags:
    count, days = shape
    day = np.arange(days)
    first, last = np.zeros(count, dtype=np.int64), np.full(count, days)
    # A third of the new listings have fewer rows than features need.
    traded = rng.integers(MINIMUM_ROWS + 6, max(days * 3 // 4, MINIMUM_ROWS + 7), len(new))
    traded[::3] = rng.integers(5, MINIMUM_ROWS, len(traded[::3]))
    first[new] = days - traded
    last[halted] = rng.integers(days // 2, days * 19 // 20, len(halted))
    rows = (day >= first[:, None]) & (day < last[:, None])
    # Two to eight weeks without a price.
    start = rng.integers(days // 5, days // 2, (len(gappy), 1))
    end = start + np.minimum(5 * rng.integers(2, 9, (len(gappy), 1)), days // 5)
    rows[gappy] &= (day < start) | (day >= end)
    return rows
