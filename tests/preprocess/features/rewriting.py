"""Markets of columns with some rows rewritten, to show what that does not change."""

from collections.abc import Mapping

import numpy as np

from preprocess.market.calendar import from_day_number, month_number, month_of
from preprocess.market.columns import SCHEMA, Array, MarketColumns, Table

# The columns by which rows are found; what else a row holds is its content.
KEYS = {"day", "quarter", "known_on", "ex_day", "earnings_day", "next_day", "month"}

Masks = Mapping[str, Array]


def stock_of(table: Table) -> Array:
    """The stock index of each row."""
    return np.repeat(np.arange(len(table.starts) - 1), np.diff(table.starts))


def later_than(columns: MarketColumns, day: int) -> Masks:
    """The rows that were not known on a day."""
    month = month_number(month_of(from_day_number(day)))
    return {
        "prices": columns.prices["day"] > day,
        "results": columns.results["known_on"] > day,
        "actions": columns.actions["ex_day"] > day,
        "labels": columns.labels["next_day"] > day,
        "statics": columns.statics["month"] > month,
    }


def rows_of(columns: MarketColumns, stocks: Array) -> Masks:
    """The rows of the stocks that a boolean array chooses."""
    return {name: stocks[stock_of(table)] for name, table in columns.tables.items()}


def without(columns: MarketColumns, masks: Masks) -> MarketColumns:
    """The market without the rows of `masks`."""
    tables = {}
    for name, table in columns.tables.items():
        kept = ~masks[name]
        counts = np.bincount(stock_of(table)[kept], minlength=len(columns))
        tables[name] = Table.from_counts(counts, {n: c[kept] for n, c in table.columns.items()})
    return MarketColumns(columns.mark, columns.codes, tables)


def scrambled(columns: MarketColumns, masks: Masks, seed: int) -> MarketColumns:
    """The market with nonsense for the content of the rows of `masks`, at the days they have."""
    rng = np.random.default_rng(seed)
    tables = {}
    for name, table in columns.tables.items():
        made = {}
        for column, kind in SCHEMA[name].items():
            values = table[column].copy()
            if column not in KEYS:
                values[masks[name]] = _nonsense(rng, kind, int(masks[name].sum()))
            made[column] = values
        tables[name] = Table(table.starts.copy(), made)
    return MarketColumns(columns.mark, columns.codes, tables)


def _nonsense(rng: np.random.Generator, kind: type[np.generic], count: int) -> Array:
    if kind is np.float64:
        return rng.uniform(0.05, 5000.0, count)
    return rng.integers(0, 2, count).astype(kind)
