"""Features of many stocks and days at once, from the market's columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.features.kernel import feature_rows
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status
from preprocess.market.calendar import (
    day_number,
    from_day_number,
    month_number,
    month_of,
    years_before,
)
from preprocess.market.columns import SCHEMA, Indices, MarketColumns, Table, columns_of
from preprocess.market.golden_row import GOLDEN_DATE, golden_history
from preprocess.market.values import Days, Floats

# Codes of the kernel's status array.
STATUSES = (Status.OK, Status.SHORT_HISTORY, Status.UNKNOWN_STOCK)
UNKNOWN = STATUSES.index(Status.UNKNOWN_STOCK)
NO_DAY = -1
# How far back the circuit rate of a fiscal quarter looks.
RATE_YEARS = 3


@dataclass(frozen=True, slots=True)
class BatchRows:
    """Rows in the order of the request.

    `values` is float64 [k, 25] in manifest order, NaN where missing and in rows that are not OK;
    `as_of` is the day number of the newest price used, int32 [k], NO_DAY unless OK; `status` are
    indices into STATUSES, int8 [k].
    """

    values: Floats
    as_of: Days
    status: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.status)


def stock_indices(columns: MarketColumns, codes: Sequence[bytes]) -> Indices:
    """The index of each code in the columns; -1 for an unknown code."""
    stocks = columns.index_by_code
    return np.array([stocks.get(code, -1) for code in codes], dtype=np.int64)


def batch_rows(columns: MarketColumns, stocks: Indices, days: Days) -> BatchRows:
    """The rows of stocks `stocks[k]` as of day numbers `days[k]`; -1 is an unknown stock.

    Rows are independent: each rests on its own stock up to its own day and on nothing else.
    """
    count = len(stocks)
    values = np.full((count, FEATURE_COUNT), np.nan)
    as_of = np.full(count, NO_DAY, dtype=np.int32)
    status = np.full(count, UNKNOWN, dtype=np.int8)
    known = stocks >= 0
    if known.all():
        _fill(columns, stocks, days, values, as_of, status)
    elif known.any():
        part = batch_rows(columns, stocks[known], days[known])
        values[known], as_of[known], status[known] = part.values, part.as_of, part.status
    return BatchRows(values, as_of, status)


def golden_rows() -> BatchRows:
    """The one row of the golden stock on the golden date, computed at each call."""
    day = np.array([day_number(GOLDEN_DATE)], dtype=np.int32)
    return batch_rows(_golden_market(), np.zeros(1, dtype=np.int64), day)


@cache
def _golden_market() -> MarketColumns:
    return columns_of([golden_history()])


def _fill(  # noqa: PLR0917 - the arrays that it fills
    columns: MarketColumns,
    stocks: Indices,
    days: Days,
    values: Floats,
    as_of: Days,
    status: NDArray[np.int8],
) -> None:
    months, years_ago = _calendar_facts(days)
    if not days.flags.writeable:  # numba would compile for the read-only type, which takes seconds
        days = days.copy()
    feature_rows(
        stocks,
        days,
        months,
        years_ago,
        tuple(columns.tables[name].starts for name in SCHEMA),
        _arrays(columns.prices, "prices"),
        _arrays(columns.results, "results"),
        _arrays(columns.actions, "actions"),
        _arrays(columns.labels, "labels"),
        _arrays(columns.statics, "statics"),
        values,
        as_of,
        status,
    )


def _arrays(table: Table, name: str) -> tuple[NDArray[Any], ...]:
    return tuple(table[column] for column in SCHEMA[name])


def _calendar_facts(days: Days) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Month numbers, and the day numbers three years before."""
    if len(days) == 1:
        month, before = _facts(int(days[0]))
        return np.array([month], dtype=np.int32), np.array([before], dtype=np.int32)
    distinct, inverse = np.unique(days, return_inverse=True)
    facts = np.array([_facts(day) for day in distinct.tolist()], dtype=np.int32).reshape(-1, 2)
    return np.ascontiguousarray(facts[inverse, 0]), np.ascontiguousarray(facts[inverse, 1])


def _facts(number: int) -> tuple[int, int]:
    day: date = from_day_number(number)
    return month_number(month_of(day)), day_number(years_before(day, RATE_YEARS))


def as_dates(as_of: Days) -> list[date | None]:
    """Calendar days of `as_of` day numbers; None for NO_DAY."""
    known: dict[int, Any] = {
        number: None if number == NO_DAY else from_day_number(number)
        for number in np.unique(as_of).tolist()
    }
    return [known[number] for number in as_of.tolist()]
