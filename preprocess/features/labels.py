"""The label: did the stock close up by the circuit's share on the day after its results?"""

from datetime import date

import numpy as np

from preprocess.features.adjustment import adjustment_factors
from preprocess.market.calendar import day_number, from_day_number
from preprocess.market.values import CircuitLabel, Prices, StockHistory

# A stock that did not trade for longer than this round its results gives no label: what it did
# weeks later says nothing about them.
LONGEST_PAUSE_DAYS = 10

# A day that closes within this share of its high counts as locked.
LOCKED_PCT = 0.5


def circuit_labels(
    history: StockHistory, *, circuit_pct: float, locked: bool = False
) -> list[CircuitLabel]:
    """One label for each announcement whose date is recorded and whose next day has traded.

    The change is that of the first trading day's close after the announcement against the close
    of the announcement's day, or of the last trading day before it, adjusted for a split or bonus
    between the two; the label is 1 if it is at least `circuit_pct` percent. With `locked` the day
    must also have closed within 0.5 % of its high.
    """
    days = {result.announced_on for result in history.results if result.announced_on}
    labels = (_label(history, day, circuit_pct, locked) for day in sorted(days))
    return [label for label in labels if label is not None]


def _label(
    history: StockHistory, announced: date, circuit_pct: float, locked: bool
) -> CircuitLabel | None:
    prices = history.prices
    following = int(np.searchsorted(prices.days, day_number(announced), side="right"))
    if following in (0, len(prices)):
        return None
    first, last = prices.days[following - 1], prices.days[following]
    if last - day_number(announced) > LONGEST_PAUSE_DAYS:
        return None
    if day_number(announced) - first > LONGEST_PAUSE_DAYS:
        return None
    next_day = from_day_number(last)
    pair = prices[following - 1 : following + 1]
    base, close = pair.close / adjustment_factors(pair, history.actions, next_day)
    # Paise come as binary fractions: without rounding, exactly 5 % may read as 4.9999999.
    change = round((close / base - 1.0) * 100.0, 9)
    positive = change >= circuit_pct and (not locked or _closed_at_high(pair))
    return CircuitLabel(announced, next_day, change, int(positive))


def _closed_at_high(pair: Prices) -> bool:
    return float(pair.close[-1]) >= float(pair.high[-1]) * (1.0 - LOCKED_PCT / 100.0)
