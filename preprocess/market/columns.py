"""The market as columns: the rows of all stocks in sequence, with each stock's first offset.

What the served features are computed from, for all stocks at once: a batch reads contiguous
arrays, and one stock's rows are a slice of them. A stock's rows never leave its slice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.market.calendar import day_number, month_number
from preprocess.market.values import (
    ADJUSTING_KINDS,
    DEMERGER,
    CorporateAction,
    Mark,
    StockHistory,
)

Array = NDArray[Any]
Indices = NDArray[np.int64]

# Days are day numbers, quarters fiscal_year * 4 + quarter - 1, months year * 12 + month - 1.
# Prices are rupees a share as traded, *_cr is crore rupees; what is not known is NaN.
# Of labels, `upper_circuit` is 0 unless known, 1 for no and 2 for yes.
SCHEMA: Mapping[str, Mapping[str, type[np.generic]]] = {
    "prices": {
        "day": np.int32,
        "open": np.float64,
        "close": np.float64,
        "volume": np.float64,
        "adjusted": np.bool_,
    },
    "results": {
        "quarter": np.int32,
        "known_on": np.int32,
        "revenue_cr": np.float64,
        "pat_cr": np.float64,
        "operating_profit_cr": np.float64,
        "eps": np.float64,
    },
    "actions": {"ex_day": np.int32, "ratio": np.float64},
    "labels": {
        "earnings_day": np.int32,
        "next_day": np.int32,
        "label": np.int8,
        "price_change_pct": np.float64,
        "upper_circuit": np.int32,
    },
    "statics": {"month": np.int32, "sector_code": np.float64, "market_cap_tier": np.float64},
}


@dataclass(frozen=True)
class Table:
    """One table of all stocks: rows of stock i are `starts[i]` to `starts[i + 1]`.

    `starts` is int64 [n + 1]; every column has `starts[-1]` rows, ascending within a stock by
    the table's key.
    """

    starts: Indices
    columns: Mapping[str, Array]

    def __post_init__(self) -> None:
        # Shared by many readers; and compiled code has a separate type for writable arrays.
        for array in (self.starts, *self.columns.values()):
            array.flags.writeable = False

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    @property
    def rows(self) -> int:
        """Number of rows of all stocks."""
        return int(self.starts[-1])

    @classmethod
    def from_counts(cls, counts: Array, columns: Mapping[str, Array]) -> "Table":
        """A table whose stock i has `counts[i]` rows."""
        starts = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=starts[1:])
        return cls(starts, columns)


@dataclass(frozen=True)
class MarketColumns:
    """What was committed at `mark`, of all stocks or of some.

    `codes` are the BSE codes as bytes, S6 [n], ascending; `tables` follow SCHEMA. `actions` holds
    only what reprices a share: splits and bonuses with a ratio, demergers with a ratio of NaN.
    """

    mark: Mark
    codes: NDArray[np.bytes_]
    tables: Mapping[str, Table]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def prices(self) -> Table:
        """Daily bars."""
        return self.tables["prices"]

    @property
    def results(self) -> Table:
        """Quarterly results, ascending by quarter."""
        return self.tables["results"]

    @property
    def actions(self) -> Table:
        """Splits, bonuses and demergers, ascending by ex-date."""
        return self.tables["actions"]

    @property
    def labels(self) -> Table:
        """Upper-circuit labels, ascending by announcement."""
        return self.tables["labels"]

    @property
    def statics(self) -> Table:
        """Monthly stamps, ascending by month."""
        return self.tables["statics"]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self.codes.nbytes + sum(
            table.starts.nbytes + sum(column.nbytes for column in table.columns.values())
            for table in self.tables.values()
        )

    @cached_property
    def index_by_code(self) -> Mapping[bytes, int]:
        """Index of each code."""
        return {code: index for index, code in enumerate(self.codes.tolist())}

    def newest_day(self) -> int | None:
        """Day number of the newest price of any stock; None when there is no price."""
        prices = self.prices
        return int(prices["day"].max()) if prices.rows else None

    def only(self, codes: NDArray[np.bytes_]) -> "MarketColumns":
        """The columns of `codes`, ascending; unknown codes are left out."""
        index = np.flatnonzero(np.isin(self.codes, codes))
        source = np.zeros(len(index), dtype=np.int64)
        tables = {name: _gathered([self.tables[name]], source, index) for name in SCHEMA}
        return MarketColumns(self.mark, self.codes[index], tables)

    def replaced(self, changed: Iterable[bytes], fresh: "MarketColumns") -> "MarketColumns":
        """These columns with the stocks of `changed` as they are in `fresh`, at its mark.

        A changed stock that `fresh` lacks is removed; stocks of `fresh` count as changed.
        """
        out = np.array(sorted({*changed, *fresh.codes.tolist()}), dtype="S6")
        kept = np.flatnonzero(~np.isin(self.codes, out))
        codes = np.concatenate([self.codes[kept], fresh.codes])
        order = np.argsort(codes, kind="stable")
        sources = (self, fresh)
        source = np.repeat([0, 1], [len(kept), len(fresh)])[order]
        index = np.concatenate([kept, np.arange(len(fresh))])[order]
        tables = {
            name: _gathered([part.tables[name] for part in sources], source, index)
            for name in SCHEMA
        }
        return MarketColumns(fresh.mark, codes[order], tables)


def _gathered(tables: Sequence[Table], source: Array, index: Array) -> Table:
    """One table from stocks `index[i]` of `tables[source[i]]`, copied in runs of neighbours."""
    counts = np.empty(len(index), dtype=np.int64)
    for number, table in enumerate(tables):
        mine = source == number
        counts[mine] = np.diff(table.starts)[index[mine]]
    breaks = np.flatnonzero((np.diff(source) != 0) | (np.diff(index) != 1)) + 1
    firsts = np.concatenate([[0], breaks]) if len(index) else breaks
    lasts = np.concatenate([breaks, [len(index)]]) if len(index) else breaks
    slices = [
        (int(source[a]), slice(*tables[source[a]].starts[[index[a], index[b - 1] + 1]].tolist()))
        for a, b in zip(firsts.tolist(), lasts.tolist(), strict=True)
    ]
    columns = {
        name: np.concatenate([tables[n][name][rows] for n, rows in slices] or [column[:0]])
        for name, column in tables[0].columns.items()
    }
    return Table.from_counts(counts, columns)


# How a value of preprocess.market.values becomes a row of its table.
ROWS: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "results": {
        "quarter": lambda result: result.quarter.fiscal_year * 4 + result.quarter.quarter - 1,
        "known_on": lambda result: day_number(result.known_on),
        "revenue_cr": attrgetter("revenue_cr"),
        "pat_cr": attrgetter("pat_cr"),
        "operating_profit_cr": attrgetter("operating_profit_cr"),
        "eps": attrgetter("eps"),
    },
    "actions": {
        "ex_day": lambda action: day_number(action.ex_date),
        "ratio": lambda action: np.nan if action.kind == DEMERGER else action.ratio,
    },
    "labels": {
        "earnings_day": lambda label: day_number(label.earnings_date),
        "next_day": lambda label: day_number(label.next_day_date),
        "label": attrgetter("label"),
        "price_change_pct": attrgetter("price_change_pct"),
        "upper_circuit": lambda label: (
            0 if label.upper_circuit is None else 1 + label.upper_circuit
        ),
    },
    "statics": {
        "month": lambda stamp: month_number(stamp.month),
        "sector_code": lambda stamp: _or_nan(stamp.sector_code),
        "market_cap_tier": lambda stamp: _or_nan(stamp.market_cap_tier),
    },
}


def adjusting(actions: Sequence[CorporateAction]) -> list[CorporateAction]:
    """The actions that adjust prices by their ratio."""
    return [action for action in actions if _adjusts(action)]


def repricing(actions: Sequence[CorporateAction]) -> list[CorporateAction]:
    """Those and the demergers, the only ones in the columns."""
    return [action for action in actions if action.kind == DEMERGER or _adjusts(action)]


def _adjusts(action: CorporateAction) -> bool:
    return action.kind in ADJUSTING_KINDS and action.ratio is not None


def columns_of(histories: Iterable[StockHistory], mark: Mark | None = None) -> MarketColumns:
    """The columns of histories in memory, ascending by code."""
    stocks = sorted(histories, key=lambda history: history.bse_code)
    parts: dict[str, list[Sequence[Any]]] = {
        "results": [stock.results for stock in stocks],
        "actions": [repricing(stock.actions) for stock in stocks],
        "labels": [stock.labels for stock in stocks],
        "statics": [stock.statics for stock in stocks],
    }
    tables = {name: _table_of(name, rows) for name, rows in parts.items()}
    series = [stock.prices for stock in stocks]
    tables["prices"] = Table.from_counts(
        np.array([len(prices) for prices in series], dtype=np.int64),
        {
            name: np.concatenate(
                [getattr(p, _ATTRIBUTES.get(name, name)) for p in series] or [np.empty(0, kind)]
            )
            for name, kind in SCHEMA["prices"].items()
        },
    )
    codes = np.array([stock.bse_code for stock in stocks], dtype="S6")
    return MarketColumns(mark or Mark(), codes, tables)


_ATTRIBUTES = {"day": "days"}


def _table_of(name: str, stocks: Sequence[Sequence[Any]]) -> Table:
    return Table.from_counts(
        np.array([len(rows) for rows in stocks], dtype=np.int64),
        {
            column: np.array([value(row) for rows in stocks for row in rows], SCHEMA[name][column])
            for column, value in ROWS[name].items()
        },
    )


def _or_nan(value: int | None) -> float:
    return np.nan if value is None else float(value)
