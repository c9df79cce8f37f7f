"""The label: did the stock rise by the circuit's share on the day after its results?"""

from datetime import date

import numpy as np

from preprocess.features.adjustment import adjustment_factors
from preprocess.market.calendar import day_number, from_day_number
from preprocess.market.values import CircuitLabel, StockHistory

# A stock that did not trade for longer than this around its results gives no label: what it did
# weeks later says nothing about them.
LONGEST_PAUSE_DAYS = 10


def circuit_labels(history: StockHistory, *, circuit_pct: float) -> list[CircuitLabel]:
    """One label for each announcement with a recorded date and a later trading day.

    The change compares the close of the first trading day after the announcement with the close of
    the announcement's day, or of the last trading day before it, adjusted for a split or bonus
    between the two. The label is 1 if the change is at least `circuit_pct` percent.
    """
    days = {result.announced_on for result in history.results if result.announced_on}
    labels = (_label(history, day, circuit_pct) for day in sorted(days))
    return [label for label in labels if label is not None]


def _label(history: StockHistory, announced: date, circuit_pct: float) -> CircuitLabel | None:
    prices = history.prices
    following = int(np.searchsorted(prices.days, day_number(announced), side="right"))
    if following in (0, len(prices)):
        return None
    first, last = prices.days[following - 1], prices.days[following]
    if max(last - day_number(announced), day_number(announced) - first) > LONGEST_PAUSE_DAYS:
        return None
    next_day = from_day_number(last)
    pair = prices[following - 1 : following + 1]
    base, close = pair.close / adjustment_factors(pair, history.actions, next_day)
    # Prices in paise are binary fractions: without rounding, exactly 5 % may read as 4.9999999.
    change = round((close / base - 1.0) * 100.0, 9)
    return CircuitLabel(announced, next_day, change, int(change >= circuit_pct))
