"""Packs: one stock's rows as one value, so that a whole market is read as a few thousand values.

A database hands out rows at some hundred nanoseconds a cell, and the features of a market need
twenty million cells. So each transaction also writes the rows that features are computed from as
arrays of fixed-width records: prices by stock and calendar year (a day's import rewrites the
current year only), everything else by stock. Records are little-endian and laid out as in C.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.columns import SCHEMA, MarketColumns, Table
from preprocess.market import Mark


def _record(columns: Sequence[tuple[str, str]]) -> np.dtype[Any]:
    return np.dtype([*columns])


RECORDS = {
    "prices": _record(
        [("day", "<i4"), ("adjusted", "<i4"), ("open", "<f8"), ("close", "<f8"), ("volume", "<f8")]
    ),
    "results": _record(
        [
            ("quarter", "<i4"),
            ("known_on", "<i4"),
            ("revenue_cr", "<f8"),
            ("pat_cr", "<f8"),
            ("operating_profit_cr", "<f8"),
            ("eps", "<f8"),
        ]
    ),
    "actions": _record([("ex_day", "<i4"), ("reserved", "<i4"), ("ratio", "<f8")]),
    "labels": _record([("earnings_day", "<i4"), ("next_day", "<i4"), ("label", "<i4")]),
    "statics": _record(
        [("month", "<i4"), ("reserved", "<i4"), ("sector_code", "<f8"), ("market_cap_tier", "<f8")]
    ),
}
STOCK_PARTS = ("results", "actions", "labels", "statics")


def packed(table: str, columns: dict[str, Any]) -> bytes:
    """The records of one stock; `columns` are arrays or lists by name, ascending by key."""
    records = np.zeros(len(next(iter(columns.values()))), dtype=RECORDS[table])
    for name, values in columns.items():
        records[name] = values
    return records.tobytes()


class PackCollector:
    """Packs as they are read, into the columns of one table.

    Values arrive in chunks and are copied out at once: a market is never held twice.
    """

    def __init__(self, table: str, codes: NDArray[np.bytes_], counts: NDArray[np.int64]) -> None:
        """`counts` are the rows of each of `codes`; packs must come in that order."""
        self._record = RECORDS[table]
        self._table = Table.from_counts(
            counts,
            {name: np.empty(int(counts.sum()), kind) for name, kind in SCHEMA[table].items()},
        )
        self._filled = 0

    def add(self, packs: Iterable[bytes]) -> None:
        """Take the next packs."""
        records = np.frombuffer(b"".join(packs), dtype=self._record)
        rows = slice(self._filled, self._filled + len(records))
        for name, column in self._table.columns.items():
            column[rows] = records[name]
        self._filled = rows.stop

    def table(self) -> Table:
        """The table, once every pack has been added.

        Raises:
            ValueError: the packs do not hold the rows that were announced.
        """
        if self._filled != self._table.rows:
            raise ValueError(f"{self._filled} packed rows instead of {self._table.rows}")
        return self._table


def row_count(table: str, size: int) -> int:
    """Number of records in a pack of `size` bytes."""
    return size // RECORDS[table].itemsize


def market_columns(
    mark: Mark, codes: NDArray[np.bytes_], collectors: dict[str, PackCollector]
) -> MarketColumns:
    """The columns that the collectors of all tables have gathered."""
    return MarketColumns(mark, codes, {name: collectors[name].table() for name in SCHEMA})
