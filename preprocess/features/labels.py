"""The labels: what a stock did on the first session after its results."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from operator import attrgetter

import numpy as np

from preprocess.features.adjustment import adjustment_factors
from preprocess.market.announcements import LONGEST_PAUSE_DAYS
from preprocess.market.calendar import day_number, from_day_number
from preprocess.market.values import DEMERGER, CircuitLabel, PriceBand, Prices, StockHistory

INFERRED_BANDS = (2, 5, 10, 20)
TICKS_PAISE = (1, 5, 10, 50, 100, 500)
# A close on a coarse tick is far from its limit; less than this share of the band is no limit.
LEAST_SHARE_OF_BAND = 0.8
# Where a tick is a greater share of the band, chance alone puts closes on "limits".
GREATEST_TICK_SHARE = 0.1
# The sessions whose prices show a share's tick.
TICK_SESSIONS = 250
# Forgives the last bits of a base price that was divided by a ratio.
_PAISE_ERROR = 1e-4


def circuit_labels(
    history: StockHistory, bands: Sequence[PriceBand] = (), *, circuit_pct: float
) -> list[CircuitLabel]:
    """One label for each announcement with a recorded date and a later trading day.

    The change compares the close of the first session after the announcement with its base price:
    the close of the announcement's day, or of the last trading day before it, adjusted for a split
    or bonus between the two; across a demerger there is no label. `label` is 1 if the change is at
    least `circuit_pct` percent; `upper_circuit` is 1 if the close is the session's upper price
    limit, from `bands` (ascending by day) where they cover the session, otherwise inferred: see
    `at_upper_limit`.
    """
    # A restatement announces its quarter no second time.
    first = {result.quarter: result.announced_on for result in reversed(history.results)}
    days = sorted({day for day in first.values() if day})
    labels = (_label(history, bands, day, circuit_pct) for day in days)
    return [label for label in labels if label is not None]


def at_upper_limit(base: float, high: float, close: float, tick: int) -> bool | None:
    """Whether a close is an upper price limit, where the band isn't known; None: it can't be said.

    `base` is the close before, in rupees on the session's share count; `tick` the share's, in
    paise. The limit is the base price and 2, 5, 10 or 20 percent, rounded down to a tick.
    """
    paise = close * 100.0
    if close < high - _PAISE_ERROR:
        return False
    unknown = False
    for percent in INFERRED_BANDS:
        band = base * percent  # in paise
        if tick > band * GREATEST_TICK_SHARE:
            unknown |= math.isclose(_limit(base, percent, tick), paise, abs_tol=_PAISE_ERROR)
        elif paise - base * 100.0 >= band * LEAST_SHARE_OF_BAND and any(
            math.isclose(_limit(base, percent, each), paise, abs_tol=_PAISE_ERROR)
            for each in TICKS_PAISE
            if each >= tick
        ):
            return True
    return None if unknown else False


def tick_of(prices: Prices) -> int:
    """The greatest tick, in paise, that all of these prices lie on."""
    columns = (prices.open, prices.high, prices.low, prices.close)
    common = np.gcd.reduce(np.rint(np.concatenate(columns) * 100.0).astype(np.int64), initial=0)
    return max((tick for tick in TICKS_PAISE if common % tick == 0), default=1)


def _label(
    history: StockHistory, bands: Sequence[PriceBand], announced: date, circuit_pct: float
) -> CircuitLabel | None:
    prices = history.prices
    following = int(np.searchsorted(prices.days, day_number(announced), side="right"))
    if following in (0, len(prices)):
        return None
    first, last = prices.days[following - 1], prices.days[following]
    if max(last - day_number(announced), day_number(announced) - first) > LONGEST_PAUSE_DAYS:
        return None
    next_day = from_day_number(last)
    since = from_day_number(first)
    if any(a.kind == DEMERGER and since < a.ex_date <= next_day for a in history.actions):
        return None
    pair = prices[following - 1 : following + 1]
    base, close = (pair.close / adjustment_factors(pair, history.actions, next_day)).tolist()
    # Prices in paise are binary fractions: without rounding, exactly 5 % may read as 4.9999999.
    change = round((close / base - 1.0) * 100.0, 9)
    limited = None
    if not pair.adjusted.any():  # an adjusted price lies on no tick
        recent = prices[max(0, following + 1 - TICK_SESSIONS) : following + 1]
        limited = _limited(base, pair, _band(bands, since, next_day), recent)
    return CircuitLabel(
        announced,
        next_day,
        change,
        int(change >= circuit_pct),
        None if limited is None else int(limited),
    )


def _limited(base: float, pair: Prices, band: PriceBand | None, recent: Prices) -> bool | None:
    close, tick = float(pair.close[1]), tick_of(recent)
    if band is None:
        return at_upper_limit(base, float(pair.high[1]), close, tick)
    if band.percent is None:
        return False
    return close * 100.0 > _limit(base, band.percent, tick) - _PAISE_ERROR and close > base


def _band(bands: Sequence[PriceBand], before: date, session: date) -> PriceBand | None:
    """The newest band from a file of the day before the session, or of a later one before it."""
    number = bisect_left(bands, session, key=attrgetter("day"))
    newest = bands[number - 1] if number else None
    return newest if newest is not None and newest.day >= before else None


def _limit(base: float, percent: float, tick: int) -> float:
    """The upper limit in paise."""
    return math.floor(base * (100.0 + percent) / tick + _PAISE_ERROR) * float(tick)
