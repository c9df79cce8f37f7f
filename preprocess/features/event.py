"""Event features: the day itself, the volume that led to it, and the stock's own past results."""

import math
from collections.abc import Sequence
from datetime import date

from preprocess.market.calendar import FiscalQuarter, day_number, years_before
from preprocess.market.values import CircuitLabel, Prices

RATE_YEARS = 3
LEAD_ROWS, BASE_ROWS = 5, 15


def circuit_rate(labels: Sequence[CircuitLabel], day: date) -> float:
    """Share of positive labels in the day's fiscal quarter over the three years before `day`.

    Counts labels whose announcement lies in [day - 3 years, day) and whose outcome was known by
    `day`; NaN when there is none.
    """
    quarter, start = FiscalQuarter.of(day).quarter, years_before(day, RATE_YEARS)
    outcomes = [
        label.label
        for label in labels
        if start <= label.earnings_date < day
        and label.next_day_date <= day
        and FiscalQuarter.of(label.earnings_date).quarter == quarter
    ]
    return sum(outcomes) / len(outcomes) if outcomes else math.nan


def volume_trend(before: Prices) -> float:
    """Mean volume of the last 5 rows to that of the 15 before; `before` ends before the day."""
    if len(before) < LEAD_ROWS + BASE_ROWS:
        return math.nan
    base = float(before.volume[-LEAD_ROWS - BASE_ROWS : -LEAD_ROWS].mean())
    return float(before.volume[-LEAD_ROWS:].mean()) / base if base > 0.0 else math.nan


def event_features(prices: Prices, labels: Sequence[CircuitLabel], day: date) -> list[float]:
    """Features 20 to 23 of the manifest; `prices` are adjusted and end on or before `day`."""
    reaction = spike = math.nan
    has_row = len(prices) > 0 and int(prices.days[-1]) == day_number(day)
    before = prices[:-1] if has_row else prices
    if has_row:
        opening = float(prices.open[-1])
        reaction = (float(prices.close[-1]) - opening) / opening * 100.0
        rows = LEAD_ROWS + BASE_ROWS
        mean = float(before.volume[-rows:].mean()) if len(before) >= rows else 0.0
        spike = float(prices.volume[-1]) / mean if mean > 0.0 else math.nan
    return [reaction, spike, volume_trend(before), circuit_rate(labels, day)]
