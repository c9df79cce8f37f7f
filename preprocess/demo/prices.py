"""The demo market's prices, with a made-up pattern for a model to learn.

The probability that a share jumps after its company's quarterly results is a logistic function of
the yearly growth of profit, of the attention before the results, and of a constant of its industry.
Attention shows in more volume and a small rise on the five days up to the announcement.

A good score on the demo market shows that the machinery works, and says nothing about real markets.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocess.demo.companies import INDUSTRIES, Companies
from preprocess.demo.results import Filings
from preprocess.market.values import Days, Floats

INTERCEPT, GROWTH_WEIGHT, GROWTH_SCALE, ATTENTION_WEIGHT = -4.5, 2.0, 0.4, 1.2
INDUSTRY_TILT = {"Chemicals": 0.9, "Software": 1.3, "Cement": -0.9, "Finance": -1.3}

RUN_UP_DAYS, RUN_UP_VOLUME, RUN_UP_DRIFT = 5, 0.45, 0.003  # for one unit of attention
SMALLEST_JUMP, JUMP_SCALE, LOCKED_SHARE = 0.054, 0.035, 0.4
# Added to the logarithm of the volume; the second is multiplied by the move.
EVENT_VOLUME, MOVE_VOLUME = 0.9, 9.0

UNTRADED = 0.1  # share of a thin stock's days
COARSE_TICK_FROM_RS = 250.0


@dataclass(frozen=True, slots=True)
class Prices:
    """Bars as traded, rupees and shares, [n, days]; valid where the company's `rows` are set."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: NDArray[np.int64]


def draw_prices(
    rng: np.random.Generator, companies: Companies, filings: Filings, days: Days
) -> Prices:
    """The prices on `days` (day numbers, ascending)."""
    shape = companies.rows.shape
    volatility = companies.volatility[:, None]
    moves = rng.normal(0.0003, 0.008, shape[1]) + rng.normal(0.0, 1.0, shape) * volatility
    volume = rng.normal(0.0, 0.48, shape)
    untraded = companies.thin[:, None] & (rng.random(shape) < UNTRADED)
    moves[untraded] = 0.0
    _add_reactions(rng, companies, filings, days, moves, volume)

    ratios = companies.ratios
    reference, close, lower, upper, tick = (np.empty(shape) for _ in range(5))
    previous = companies.price
    for day in range(shape[1]):
        reference[:, day] = base = previous / ratios[:, day]
        tick[:, day] = size = np.where(base >= COARSE_TICK_FROM_RS, 0.05, 0.01)
        # Limits are rounded towards the base price; the sum forgives the last bit of a float.
        upper[:, day] = most = np.floor(base * (1.0 + companies.band) / size + 1e-6) * size
        lower[:, day] = least = np.ceil(base * (1.0 - companies.band) / size - 1e-6) * size
        close[:, day] = _priced(base * (1.0 + moves[:, day]), size, least, most)
        previous = np.where(companies.rows[:, day], close[:, day], base)

    # Thin stocks, and those at their upper limit, trade at one price all day.
    swing = volatility * np.abs(rng.normal(0.0, 0.45, (3, *shape)))
    opening = _priced(reference * (1.0 + 0.3 * moves + swing[0] - swing[1]), tick, lower, upper)
    one_price = companies.thin[:, None] | (close >= upper - tick / 2)
    opening = np.where(one_price, close, opening)
    swing[:, one_price] = 0.0
    top, bottom = np.maximum(opening, close), np.minimum(opening, close)
    typical = companies.daily_shares[:, None] * np.cumprod(ratios, axis=1)
    shares = typical * np.exp(volume + MOVE_VOLUME * np.abs(moves))
    return Prices(
        open=opening,
        high=_priced(top * (1.0 + swing[2]), tick, lower, upper),
        low=_priced(bottom * (1.0 - swing[1]), tick, lower, upper),
        close=close,
        volume=np.where(untraded, 0.0, np.maximum(np.rint(shares), 1.0)).astype(np.int64),
    )


def _add_reactions(  # noqa: PLR0917 - the two arrays that it changes come last
    rng: np.random.Generator,
    companies: Companies,
    filings: Filings,
    days: Days,
    moves: Floats,
    volume: Floats,
) -> None:
    """Add run-ups and reactions to `moves` and to `volume`, which is a logarithm."""
    shape = filings.filed.shape
    attention, size = rng.exponential(1.0, (2, *shape))
    tilt = np.array([INDUSTRY_TILT.get(industry, 0.0) for industry in INDUSTRIES])
    growth = np.nan_to_num(np.tanh(filings.pat_growth / GROWTH_SCALE))
    score = INTERCEPT + GROWTH_WEIGHT * growth + ATTENTION_WEIGHT * attention
    jumps = rng.random(shape) < 1.0 / (1.0 + np.exp(-score - tilt[companies.industry][:, None]))
    jump = np.where(
        rng.random(shape) < LOCKED_SHARE,
        companies.band[:, None] + 0.01,  # beyond the limit, where the close then stays
        SMALLEST_JUMP + JUMP_SCALE * size,
    )

    # The last trading day on or before the announcement, as the label's rule has it.
    heard = np.searchsorted(days, filings.announced, side="right") - 1
    known = filings.filed & (heard >= RUN_UP_DAYS - 1) & (heard < len(days) - 1)
    company, day = np.nonzero(known)[0], heard[known]
    for back in range(RUN_UP_DAYS):
        volume[company, day - back] += RUN_UP_VOLUME * attention[known]
        moves[company, day - back] += RUN_UP_DRIFT * attention[known]
    moves[company, day + 1] = np.where(jumps[known], jump[known], moves[company, day + 1])
    volume[company, day + 1] += EVENT_VOLUME


def _priced(price: Floats, tick: Floats, lower: Floats, upper: Floats) -> Floats:
    """The nearest tick within the limits, in whole paise, and at least one tick."""
    on_tick = np.rint(price / tick) * tick
    priced: Floats = np.round(np.maximum(on_tick.clip(lower, upper), tick), 2)
    return priced
