"""Monthly precompute of the static features: sector codes and market-cap tiers.

The stamp of a month depends only on what was known before the month began.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np

from preprocess.errors import ModelError
from preprocess.features.financial import KnownResults
from preprocess.market.calendar import first_day_of, from_day_number
from preprocess.market.columns import adjusting
from preprocess.market.values import StaticRow, Stock, StockHistory

LARGE_CAP_RANKS = 100
MID_CAP_RANKS = 250


def market_cap_cr(history: StockHistory, day: date) -> float | None:
    """Market capitalisation in crore rupees as of `day`: close x PAT / EPS of the newest results.

    PAT (crore) by EPS (rupees a share) is the number of shares (crore) on the day that EPS is
    stated for; splits and bonuses between it and `day` bring it to that of `day`. None without a
    price, without results, with EPS zero or missing, or where the two differ in sign.
    """
    prices = history.prices.until(day)
    newest = KnownResults.on(history.results, day).back(0)
    if newest is None or not len(prices) or newest.eps == 0.0:
        return None
    shares_cr = newest.pat_cr / newest.eps
    if math.isnan(shares_cr) or shares_cr <= 0.0:
        return None
    stated = newest.eps_as_of or newest.known_on
    wanted = day
    if prices.adjusted[-1]:  # to the share count on which its source had them all at last
        whole = history.prices
        wanted = from_day_number(whole.days[whole.adjusted][-1])
    for action in adjusting(history.actions):
        if stated < action.ex_date <= wanted:
            shares_cr *= action.ratio or 1.0
        elif wanted < action.ex_date <= stated:
            shares_cr /= action.ratio or 1.0
    return float(prices.close[-1]) * shares_cr


def tiers(caps: Sequence[float | None]) -> list[int | None]:
    """2 for ranks 1 to 100 by market cap, 1 for 101 to 250, 0 for the rest; None stays None."""
    sizes = np.array([math.nan if cap is None else -cap for cap in caps])
    ranks = np.empty(len(caps), dtype=np.int64)
    ranks[np.argsort(sizes, kind="stable")] = np.arange(len(caps))  # NaN sorts last
    return [
        None if cap is None else int(rank < LARGE_CAP_RANKS) + int(rank < MID_CAP_RANKS)
        for cap, rank in zip(caps, ranks.tolist(), strict=True)
    ]


def extended_sector_codes(known: Mapping[str, int], stocks: Sequence[Stock]) -> dict[str, int]:
    """`known` plus the new sectors, numbered after it: an assigned code never changes."""
    codes = dict(known)
    following = max(codes.values(), default=-1) + 1
    fresh = sorted({stock.industry for stock in stocks if stock.industry} - codes.keys())
    return codes | {sector: following + index for index, sector in enumerate(fresh)}


def require_sector_codes(
    of_model: Mapping[str, int], of_market: Mapping[str, int], *, owner: str
) -> None:
    """Refuse a model that was trained with other codes than the market's.

    Raises:
        ModelError: names the first sector with two codes, or the first code with two sectors.
    """
    by_code = {code: sector for sector, code in of_market.items()}
    for sector, code in of_model.items():
        if of_market.get(sector, code) != code or by_code.get(code, sector) != sector:
            raise ModelError(
                f"{owner} knows the sector {sector!r} as {code}, this database as "
                f"{of_market.get(sector, 'none')}, and {code} as {by_code.get(code)!r}: it was "
                "trained on another database. Train it again with `tezi train`."
            )


def month_stamps(
    month: str,
    members: Sequence[tuple[str, str | None, float | None]],
    sector_codes: Mapping[str, int],
) -> list[tuple[str, StaticRow]]:
    """The stamps of one month for codes with their sectors, and market caps of the day before."""
    ranked = tiers([cap for _, _, cap in members])
    return [
        (code, StaticRow(month, sector, sector_codes[sector] if sector else None, cap, tier))
        for (code, sector, cap), tier in zip(members, ranked, strict=True)
    ]


def eve_of(month: str) -> date:
    """The day before the month: the last one whose data its stamp may use."""
    return first_day_of(month) - timedelta(days=1)
