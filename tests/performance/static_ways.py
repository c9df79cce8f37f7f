"""Market-cap tiers looked up as they were stamped for the month, or ranked for each request."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
from numba import njit

from preprocess.calendar import day_number, month_of
from preprocess.columns import Array, MarketColumns
from preprocess.features.batch import batch_rows
from preprocess.features.stamps import LARGE_CAP_RANKS, MID_CAP_RANKS, eve_of
from tests.performance.feature_ways import warm_up
from tests.performance.market import read_columns
from tests.performance.measure import Repetition, Times, timed, timed_each

_ROWS = 20


@njit(cache=True)
def _caps(  # noqa: PLR0917 - compiled functions take columns, and no keywords
    price_starts: Array,
    days: Array,
    close: Array,
    result_starts: Array,
    known_on: Array,
    pat: Array,
    eps: Array,
    day: int,
) -> Array:
    caps = np.full(len(price_starts) - 1, np.nan)
    for stock in range(len(caps)):
        first, last = price_starts[stock], price_starts[stock + 1]
        row = first + np.searchsorted(days[first:last], day, side="right") - 1
        newest = -1
        for result in range(result_starts[stock], result_starts[stock + 1]):
            if known_on[result] <= day:
                newest = result
        if row >= first and newest >= 0 and eps[newest] != 0.0:
            shares = pat[newest] / eps[newest]
            if shares > 0.0:
                caps[stock] = close[row] * shares
    return caps


def ranked_tiers(columns: MarketColumns, day: date) -> Array:
    """The tier of every stock for the month of `day`, computed as quickly as we know how."""
    prices, results = columns.prices, columns.results
    caps = _caps(
        prices.starts,
        prices["day"],
        prices["close"],
        results.starts,
        results["known_on"],
        results["pat_cr"],
        results["eps"],
        day_number(eve_of(month_of(day))),
    )
    tiers = np.where(np.isnan(caps), np.nan, 0.0)
    order = np.argsort(-caps, kind="stable")  # NaN sorts last
    for ranks in (MID_CAP_RANKS, LARGE_CAP_RANKS):
        tiers[order[:ranks]] += 1.0
    return tiers


def one_row(database: Path, days: Sequence[date], ranked: bool) -> Repetition:
    """One stock's row, again and again; with `ranked`, the tier is computed each time."""
    columns = _market(database, days[0])
    random = np.random.default_rng(1)
    places = random.integers(len(columns), size=(len(days), _ROWS))

    def repetition(number: int) -> Times:
        day = days[number]
        numbers = np.array([day_number(day)], dtype=np.int32)

        def row(place: int) -> None:
            values = batch_rows(columns, np.array([place]), numbers).values
            if ranked:
                values[0, -1] = ranked_tiers(columns, day)[place]

        return timed_each(row, places[number].tolist())

    return repetition


def all_rows(database: Path, days: Sequence[date], ranked: bool) -> Repetition:
    """Every stock's row; with `ranked`, the tiers are computed once for all of them."""
    columns = _market(database, days[0])
    places = np.arange(len(columns), dtype=np.int64)

    def rows(day: date) -> None:
        numbers = np.full(len(places), day_number(day), dtype=np.int32)
        values = batch_rows(columns, places, numbers).values
        if ranked:
            values[:, -1] = ranked_tiers(columns, day)

    return lambda number: timed(lambda: rows(days[number]))


def _market(database: Path, day: date) -> MarketColumns:
    warm_up()
    columns = read_columns(database)
    ranked_tiers(columns, day)
    return columns
