"""Announcement samples out of the columns of a market: price, results and label as of each day."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from preprocess.columns import MarketColumns

Array = NDArray[Any]

# Where a sample has no bar, or no results that were known: no day is that far in the past.
NO_DAY = np.iinfo(np.int32).min
NO_QUARTER = -1

_FIGURES = ("revenue_cr", "pat_cr", "operating_profit_cr", "eps")


@njit(cache=True, nogil=True)
def _as_of(
    starts: tuple[Array, Array, Array], days: tuple[Array, Array, Array], found: Array
) -> None:
    """Fill `found` int64 [3, n]: of each label its stock, and the newest bar and results or -1.

    `starts` and `days` are those of labels (announced), prices (traded), results (known on).

    Results are ascending by quarter and not by the day they became known: the newest
    quarter that was known is looked for from the end.
    """
    label_starts, price_starts, result_starts = starts
    announced, traded, known_on = days
    stock, price, result = found[0], found[1], found[2]
    for place in range(len(label_starts) - 1):
        low, high = price_starts[place], price_starts[place + 1]
        for row in range(label_starts[place], label_starts[place + 1]):
            day = announced[row]
            stock[row] = place
            # From the bar of the label before on: labels are ascending, as bars are.
            left, right = low, high
            while left < right:
                middle = (left + right) // 2
                if traded[middle] <= day:
                    left = middle + 1
                else:
                    right = middle
            price[row] = left - 1 if left > price_starts[place] else -1
            low = max(left - 1, price_starts[place])
            result[row] = -1
            for quarter in range(result_starts[place + 1] - 1, result_starts[place] - 1, -1):
                if known_on[quarter] <= day:
                    result[row] = quarter
                    break


def as_of_join(columns: MarketColumns) -> dict[str, Array]:
    """One row for each label, ascending by stock and announcement; arrays of length n by name.

    `bse_code` S6, `earnings_day` int32. Known on that day: `price_day` int32 (NO_DAY if there is no
    bar), `close`, `volume` float64 as traded; `quarter` int32 (fiscal_year * 4 + quarter - 1;
    NO_QUARTER if no results were known), `known_on` int32, `revenue_cr`, `pat_cr`,
    `operating_profit_cr`, `eps` float64; NaN where missing. Known only later: `next_day` int32,
    `label` int8. The change in percent, which made the label, is in the database alone.
    """
    labels, prices, results = columns.labels, columns.prices, columns.results
    found = np.empty((3, labels.rows), dtype=np.int64)
    _as_of(
        (labels.starts, prices.starts, results.starts),
        (labels["earnings_day"], prices["day"], results["known_on"]),
        found,
    )
    stock, price, result = found
    return {
        "bse_code": columns.codes[stock],
        "earnings_day": labels["earnings_day"],
        "price_day": _taken(prices["day"], price, NO_DAY),
        "close": _taken(prices["close"], price, np.nan),
        "volume": _taken(prices["volume"], price, np.nan),
        "quarter": _taken(results["quarter"], result, NO_QUARTER),
        "known_on": _taken(results["known_on"], result, NO_DAY),
        **{name: _taken(results[name], result, np.nan) for name in _FIGURES},
        "next_day": labels["next_day"],
        "label": labels["label"],
    }


def _taken(column: Array, places: Array, missing: float) -> Array:
    """`column` at `places`; `missing` where a place is -1."""
    if not len(column):
        return np.full(len(places), missing, dtype=column.dtype)
    taken = column[places]
    taken[places < 0] = missing
    return taken
