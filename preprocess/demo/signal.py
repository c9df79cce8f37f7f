"""The pattern that is put into the demo market, so that a model has something to find.

**It is made up.** When a company of the demo market announces its quarterly results, the chance
that its share jumps by more than 5 % on the next day it trades is the logistic function of

- the year's growth of the profit that is announced (higher is better, levelling off),
- the volume of the announcement's day against the 20 rows before it,
- the volume of the five rows before that day against the fifteen before those,
- the move of the close over ten rows,
- a constant of the industry.

A draw decides then, so that even who knows the formula is often wrong. All five are dated on or
before the day of the announcement, and nothing else of a company enters. Volume and price rise
before some announcements, as if word had got round.

Whether real shares follow such a pattern is another question, to which nothing here is an answer:
how well a model does on the demo market says that the machinery works, and says nothing about any
real market.
"""

import math
from dataclasses import dataclass

from preprocess.demo.companies import INDUSTRIES
from preprocess.market import Floats

INTERCEPT = -4.2
GROWTH_WEIGHT, GROWTH_SCALE_PCT = 1.6, 40.0
SPIKE_WEIGHT, SPIKE_BOUNDS = 1.5, (-1.0, 2.0)
TREND_WEIGHT, TREND_BOUNDS = 1.3, (-1.0, 1.5)
MOMENTUM_WEIGHT, MOMENTUM_BOUND_PCT = 0.09, 15.0
INDUSTRY_TILT = {
    "Chemicals": 0.9,
    "Pharmaceuticals": 0.9,
    "Software": 1.3,
    "Cement": -0.9,
    "Finance": -1.3,
    "Power": -0.9,
}

LEAD_ROWS, BASE_ROWS, MOMENTUM_ROWS = 5, 15, 10


@dataclass(frozen=True, slots=True)
class Visible:
    """What is known of a company at the close of its announcement's day; NaN where unknown.

    `pat_growth` and `momentum` are percent, `volume_spike` and `volume_trend` are ratios.
    """

    industry: int
    pat_growth: float
    volume_spike: float
    volume_trend: float
    momentum: float


def see(
    industry: int, pat: float, pat_year_ago: float, closes: Floats, volumes: Floats, *, traded: bool
) -> Visible:
    """The visible quantities from rows that end on or before the announcement's day.

    `closes` and `volumes` are adjusted for splits and bonuses up to that day. `traded` says that
    the last row is the day itself; otherwise the day was a closed one, or the stock did not trade.
    """
    before = volumes[:-1] if traded else volumes
    rows = LEAD_ROWS + BASE_ROWS
    spike = trend = momentum = math.nan
    if len(before) >= rows:
        if traded:
            spike = _ratio(float(volumes[-1]), float(before[-rows:].mean()))
        trend = _ratio(float(before[-LEAD_ROWS:].mean()), float(before[-rows:-LEAD_ROWS].mean()))
    if len(closes) > MOMENTUM_ROWS:
        momentum = (float(closes[-1]) / float(closes[-1 - MOMENTUM_ROWS]) - 1.0) * 100.0
    growth = (pat - pat_year_ago) / abs(pat_year_ago) * 100.0 if pat_year_ago != 0.0 else math.nan
    return Visible(industry, growth, spike, trend, momentum)


def propensity(seen: Visible) -> float:
    """The probability of a jump on the next row; what is unknown counts as unremarkable."""
    score = INTERCEPT + INDUSTRY_TILT.get(INDUSTRIES[seen.industry], 0.0)
    if not math.isnan(seen.pat_growth):
        score += GROWTH_WEIGHT * math.tanh(seen.pat_growth / GROWTH_SCALE_PCT)
    score += SPIKE_WEIGHT * _bounded_log(seen.volume_spike, SPIKE_BOUNDS)
    score += TREND_WEIGHT * _bounded_log(seen.volume_trend, TREND_BOUNDS)
    if not math.isnan(seen.momentum):
        bounded = max(-MOMENTUM_BOUND_PCT, min(MOMENTUM_BOUND_PCT, seen.momentum))
        score += MOMENTUM_WEIGHT * bounded
    return 1.0 / (1.0 + math.exp(-score))


def _ratio(part: float, base: float) -> float:
    return part / base if base > 0.0 else math.nan


def _bounded_log(ratio: float, bounds: tuple[float, float]) -> float:
    if math.isnan(ratio):
        return 0.0
    low, high = bounds
    return low if ratio <= 0.0 else max(low, min(high, math.log(ratio)))
