"""Packs: one stock's rows as one value, so that a whole market is read as a few thousand values.

A database hands out rows at some hundred nanoseconds a cell, and the features of a market need
twenty million cells. So each transaction also writes the rows that features are computed from as
arrays of fixed-width records: prices by stock and calendar year (a day's import rewrites the
current year only), everything else by stock. Records are little-endian and laid out as in C.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.errors import StoreError
from preprocess.market.columns import ROWS, SCHEMA, MarketColumns, Table, repricing
from preprocess.market.values import Mark, StockHistory

RECORDS: Mapping[str, np.dtype[Any]] = {
    "prices": np.dtype(
        [("day", "<i4"), ("adjusted", "<i4"), ("open", "<f8"), ("close", "<f8"), ("volume", "<f8")]
    ),
    "results": np.dtype(
        [
            ("quarter", "<i4"),
            ("known_on", "<i4"),
            ("revenue_cr", "<f8"),
            ("pat_cr", "<f8"),
            ("operating_profit_cr", "<f8"),
            ("eps", "<f8"),
        ]
    ),
    "actions": np.dtype([("ex_day", "<i4"), ("reserved", "<i4"), ("ratio", "<f8")]),
    "labels": np.dtype(
        [
            ("earnings_day", "<i4"),
            ("next_day", "<i4"),
            ("label", "<i4"),
            ("upper_circuit", "<i4"),
            ("price_change_pct", "<f8"),
        ]
    ),
    "statics": np.dtype(
        [("month", "<i4"), ("reserved", "<i4"), ("sector_code", "<f8"), ("market_cap_tier", "<f8")]
    ),
}
STOCK_PARTS = ("results", "actions", "labels", "statics")

# Which stocks are entered; and with its first and last day each that has bars and no price pack.
LISTED = "SELECT s.bse_code, NULL, NULL FROM stocks s"
_UNPACKED_DAY = (
    "CASE WHEN NOT EXISTS (SELECT 1 FROM price_packs k WHERE k.bse_code = s.bse_code)"
    " THEN (SELECT {end}(date) FROM price_movements p WHERE p.bse_code = s.bse_code) END"
)
ENTERED = (
    f"SELECT s.bse_code, {_UNPACKED_DAY.format(end='min')}, {_UNPACKED_DAY.format(end='max')}"  # noqa: S608 - names are constants
    " FROM stocks s"
)

# The fields of a price record, in this order: day number, adjusted, open, close, volume.
PriceRow = tuple[int, int, float, float, float]


@dataclass(slots=True)
class StalePacks:
    """The packs that a transaction has to rewrite."""

    price_years: set[tuple[str, int]] = field(default_factory=set)
    stocks: set[str] = field(default_factory=set)

    def copy(self) -> "StalePacks":
        """The same packs, independent of this object."""
        return StalePacks(set(self.price_years), set(self.stocks))

    def only_prices(self) -> set[str]:
        """The stocks of which only bars have changed: they have been entered before."""
        return {code for code, _ in self.price_years} - self.stocks

    def price_years_of(
        self, entered: Iterable[tuple[str, str | None, str | None]]
    ) -> list[tuple[str, int]]:
        """The price packs to write, ascending.

        Rows may be stored before their stock is entered; only then are packs written. `entered`
        are the rows of ENTERED for `stocks`, and of LISTED for `only_prices`.
        """
        unpacked = {
            code: range(int(first[:4]), int(last[:4]) + 1) if first and last else ()
            for code, first, last in entered
        }
        stale = {(code, year) for code, year in self.price_years if code in unpacked}
        return sorted(stale.union((code, year) for code in unpacked for year in unpacked[code]))

    def add_price(self, bse_code: str, day: str) -> None:
        """A bar of an ISO day has changed."""
        self.price_years.add((bse_code, int(day[:4])))


def price_pack(rows: Sequence[PriceRow]) -> bytes:
    """The records of one stock's bars of a year."""
    return np.array(rows, dtype=RECORDS["prices"]).tobytes()


def stock_packs(stock: StockHistory) -> tuple[bytes, ...]:
    """The packs of a stock's other rows, in the order of STOCK_PARTS."""
    parts: tuple[Sequence[Any], ...] = (
        stock.results,
        repricing(stock.actions),
        stock.labels,
        stock.statics,
    )
    return tuple(_packed(name, rows) for name, rows in zip(STOCK_PARTS, parts, strict=True))


def _packed(table: str, rows: Sequence[Any]) -> bytes:
    records = np.zeros(len(rows), dtype=RECORDS[table])
    for name, value in ROWS[table].items():
        records[name] = [value(row) for row in rows]
    return records.tobytes()


class PackCollector:
    """Collects packs, as they are read, into the columns of one table.

    Packs arrive in chunks and are copied at once, so that memory never has the market twice.
    """

    def __init__(self, table: str, counts: NDArray[np.int64]) -> None:
        """`counts` are the rows of each stock; its packs come in the same order."""
        self._record = RECORDS[table]
        self._counts = counts
        self._rows = int(counts.sum())
        self._columns = {name: np.empty(self._rows, kind) for name, kind in SCHEMA[table].items()}
        self._filled = 0

    def add(self, packs: Iterable[bytes]) -> None:
        """Take the next packs."""
        records = np.frombuffer(b"".join(packs), dtype=self._record)
        rows = slice(self._filled, self._filled + len(records))
        for name, column in self._columns.items():
            column[rows] = records[name]
        self._filled = rows.stop

    def table(self) -> Table:
        """The table, once every pack has been added.

        Raises:
            ValueError: the packs have more or fewer rows than announced, or rows out of order.
        """
        if self._filled != self._rows:
            raise ValueError(f"{self._filled} packed rows instead of {self._rows}")
        table = Table.from_counts(self._counts, self._columns)
        _require_order(table)
        return table


def _require_order(table: Table) -> None:
    """Rows of a stock ascend by their first column, a day, quarter or month."""
    name, key = next(iter(table.columns.items()))
    falling = key[1:] < key[:-1]
    firsts = table.starts[1:-1]
    falling[firsts[(firsts > 0) & (firsts < table.rows)] - 1] = False
    if falling.any():
        raise ValueError(f"packed rows are not in the order of their {name}")


def collected(table: str, sizes: Sequence[int], packs: Iterable[bytes]) -> Table:
    """The table of packs that are all read; `sizes` are bytes per stock."""
    collector = PackCollector(table, row_counts(table, sizes))
    collector.add(packs)
    return collector.table()


def row_counts(table: str, sizes: Sequence[int]) -> NDArray[np.int64]:
    """Numbers of records in packs of the given sizes in bytes."""
    return np.array(sizes, dtype=np.int64) // RECORDS[table].itemsize


def market_columns(
    mark: Mark,
    stocks: Sequence[Sequence[Any]],
    bars: Sequence[int],
    add_prices: Callable[[PackCollector], None],
) -> MarketColumns:
    """The columns of a market, from its packs.

    `stocks` are rows of a code and its packs in the order of STOCK_PARTS, ascending by code.
    `bars` is the number of price records of each stock; `add_prices` adds the price packs in the
    order of the stocks and years.

    Raises:
        StoreError: a pack is damaged.
    """
    try:
        tables = {
            name: collected(name, [len(row[i]) for row in stocks], [row[i] for row in stocks])
            for i, name in enumerate(STOCK_PARTS, start=1)
        }
        prices = PackCollector("prices", np.array(bars, dtype=np.int64))
        add_prices(prices)
        tables["prices"] = prices.table()
    except ValueError as error:
        raise StoreError(
            f"The packed rows of the database are damaged ({error}): run `tezi maintain`."
        ) from error
    return MarketColumns(mark, np.array([row[0] for row in stocks], dtype="S6"), tables)
