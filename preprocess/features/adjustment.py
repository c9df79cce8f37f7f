"""Prices adjusted for the splits and bonuses that were known on a day."""

from collections.abc import Sequence
from datetime import date

import numpy as np

from preprocess.market.calendar import day_number
from preprocess.market.values import ADJUSTING_KINDS, DEMERGER, CorporateAction, Floats, Prices


def adjustment_factors(prices: Prices, actions: Sequence[CorporateAction], day: date) -> Floats:
    """For each row, the product of the ratios with a later ex-date, up to `day`; [n].

    A row before an ex-date is divided by the ratio. Rows already adjusted by their source keep 1.
    """
    factors = np.ones(len(prices))
    for action in actions:
        if action.kind in ADJUSTING_KINDS and action.ratio is not None and action.ex_date <= day:
            factors[prices.days < day_number(action.ex_date)] *= action.ratio
    factors[prices.adjusted] = 1.0
    return factors


def adjusted(prices: Prices, actions: Sequence[CorporateAction], day: date) -> Prices:
    """`prices` on the share count of `day`: rupees divided, volumes multiplied by the factors."""
    factors = adjustment_factors(prices, actions, day)
    if (factors == 1.0).all():
        return prices
    return Prices(
        days=prices.days,
        open=prices.open / factors,
        high=prices.high / factors,
        low=prices.low / factors,
        close=prices.close / factors,
        volume=prices.volume * factors,
        adjusted=prices.adjusted,
    )


def since_demerger(prices: Prices, actions: Sequence[CorporateAction], day: date) -> Prices:
    """The rows from the newest demerger's ex-date on: their closes compare with no earlier one."""
    begin = max(
        (a.ex_date for a in actions if a.kind == DEMERGER and a.ex_date <= day), default=None
    )
    if begin is None:
        return prices
    return prices[int(np.searchsorted(prices.days, day_number(begin))) :]
