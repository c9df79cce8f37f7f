"""The companies of the demo market: what they are, when they trade, what their shares do."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.market import Floats, Stock

INDUSTRIES = (
    "Automobiles",
    "Cement",
    "Chemicals",
    "Construction",
    "Consumer Goods",
    "Finance",
    "Paper",
    "Pharmaceuticals",
    "Power",
    "Software",
    "Steel",
    "Textiles",
)

# BSE gives no equity a code that begins with 9.
FIRST_BSE_CODE = 900001
MOST_COMPANIES = 99_999

# Shares of all companies; a company belongs to one cohort at most.
THIN_SHARE = 0.08
GAPPY_SHARE = 0.08
NEW_SHARE = 0.06
SUSPENDED_SHARE = 0.02
SPLIT_SHARE = 0.12

SHORT_HISTORY_ROWS = 34  # a third of the new listings have fewer rows
TWO_ACTIONS_SHARE = 0.2
BANDS = (0.20, 0.10, 0.05)
BAND_SHARES = (0.62, 0.30, 0.08)
THIN_BAND = 0.05

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ShareEvent:
    """A split or bonus that takes effect on trading day number `place`."""

    place: int
    kind: str
    ratio: float
    subject: str


SHARE_EVENTS = (
    ("bonus", 2.0, "Bonus 1:1"),
    ("bonus", 1.5, "Bonus 1:2"),
    ("bonus", 3.0, "Bonus 2:1"),
    ("split", 2.0, "Face value split from Rs 10 to Rs 5 a share"),
    ("split", 5.0, "Face value split from Rs 10 to Rs 2 a share"),
    ("split", 10.0, "Face value split from Rs 10 to Re 1 a share"),
)


@dataclass(frozen=True, slots=True)
class Companies:
    """All companies; arrays are [n] unless said otherwise.

    `industry` are places in INDUSTRIES. `price` (rupees) and `shares_cr` (crore shares) are those
    of the first day, `revenue_cr` is a year's. `daily_shares` is the typical volume of the first
    day. `volatility` is the daily one of the stock's own moves, `band` the daily price limit, both
    as fractions. `rows` [n, days] says on which days the stock trades.
    """

    industry: NDArray[np.int64]
    price: Floats
    shares_cr: Floats
    revenue_cr: Floats
    daily_shares: Floats
    volatility: Floats
    beta: Floats
    band: Floats
    thin: Flags
    suspended: Flags
    rows: Flags
    events: tuple[tuple[ShareEvent, ...], ...]

    def __len__(self) -> int:
        return len(self.price)

    @property
    def ratios(self) -> Floats:
        """[n, days]: new shares for each old one on ex-dates, else 1."""
        ratios = np.ones(self.rows.shape)
        for company, events in enumerate(self.events):
            for event in events:
                ratios[company, event.place] *= event.ratio
        return ratios

    def stock(self, company: int) -> Stock:
        """The listing of company number `company`; its names are plainly made up."""
        industry, number = INDUSTRIES[self.industry[company]], company + 1
        return Stock(
            bse_code=str(FIRST_BSE_CODE + company),
            nse_symbol=f"DEMO{number:03d}",
            company_name=f"Demo {industry} {number:03d}",
            isin=f"DEMO{number:08d}",
            industry=industry,
            status="suspended" if self.suspended[company] else "active",
        )


def draw_companies(rng: np.random.Generator, count: int, days: int) -> Companies:
    """`count` companies of a market that lasts `days` trading days."""
    order = rng.permutation(count)
    shares = (THIN_SHARE, GAPPY_SHARE, NEW_SHARE, SUSPENDED_SHARE, SPLIT_SHARE)
    ends = np.cumsum([round(share * count) for share in shares])
    thin, gappy, new, halted, split = np.split(order, ends)[: len(shares)]

    rows = np.ones((count, days), dtype=np.bool_)
    _drop_gaps(rng, rows, gappy)
    _drop_before_listing(rng, rows, new)
    _drop_after_suspension(rng, rows, halted)

    events: list[tuple[ShareEvent, ...]] = [()] * count
    price = np.clip(np.exp(rng.normal(5.2, 1.0, count)), 8.0, 6000.0)
    for company in split:
        events[company] = _share_events(rng, days)
        # Companies split their shares when these have become dear.
        price[company] = max(price[company], 60.0)
        price[company] *= np.prod([event.ratio for event in events[company]])

    is_thin = _flags(thin, count)
    revenue = np.exp(rng.normal(6.0, 1.5, count))
    capitalisation = revenue * np.exp(rng.normal(0.7, 0.5, count))
    shares_cr = capitalisation / price
    turnover = np.exp(rng.normal(-6.2, 0.6, count))  # of all shares, a day: 0.2 % at the median
    return Companies(
        industry=rng.integers(len(INDUSTRIES), size=count),
        price=price,
        shares_cr=shares_cr,
        revenue_cr=revenue,
        daily_shares=np.where(
            is_thin, rng.uniform(4.0, 120.0, count), np.maximum(shares_cr * 1e7 * turnover, 500.0)
        ),
        volatility=rng.uniform(0.010, 0.021, count),
        beta=np.clip(rng.normal(1.0, 0.3, count), 0.2, 2.0),
        band=np.where(is_thin, THIN_BAND, rng.choice(BANDS, size=count, p=BAND_SHARES)),
        thin=is_thin,
        suspended=_flags(halted, count),
        rows=rows,
        events=tuple(events),
    )


def _flags(members: NDArray[np.int64], count: int) -> Flags:
    flags = np.zeros(count, dtype=np.bool_)
    flags[members] = True
    return flags


def _drop_gaps(rng: np.random.Generator, rows: Flags, members: NDArray[np.int64]) -> None:
    """Two to eight weeks in trade-to-trade, where the usual series has no rows."""
    days = rows.shape[1]
    for company in members:
        length = min(5 * int(rng.integers(2, 9)), days // 5)
        start = int(rng.integers(days // 5, days - days // 5 - length))
        rows[company, start : start + length] = False


def _drop_before_listing(rng: np.random.Generator, rows: Flags, members: NDArray[np.int64]) -> None:
    days = rows.shape[1]
    short = -(-len(members) // 3)
    for place, company in enumerate(members):
        traded = (
            rng.integers(5, SHORT_HISTORY_ROWS)
            if place < short
            else rng.integers(SHORT_HISTORY_ROWS + 6, max(days * 3 // 4, SHORT_HISTORY_ROWS + 7))
        )
        rows[company, : days - int(traded)] = False


def _drop_after_suspension(
    rng: np.random.Generator, rows: Flags, members: NDArray[np.int64]
) -> None:
    days = rows.shape[1]
    for company in members:
        rows[company, int(rng.integers(days // 2, days * 19 // 20)) :] = False


def _share_events(rng: np.random.Generator, days: int) -> tuple[ShareEvent, ...]:
    count = 2 if rng.random() < TWO_ACTIONS_SHARE else 1
    places = np.sort(rng.choice(np.arange(days // 10, days - 5), size=count, replace=False))
    kinds = rng.choice(len(SHARE_EVENTS), size=count)
    return tuple(
        ShareEvent(int(place), *SHARE_EVENTS[kind])
        for place, kind in zip(places, kinds, strict=True)
    )
