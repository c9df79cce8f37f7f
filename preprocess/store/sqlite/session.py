"""The reads and writes of one SQLite connection."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from preprocess.market.values import Prices, StockHistory, Tally
from preprocess.store.packs import StalePacks
from preprocess.store.reading import ACTIONS, LABELS, RESULTS, STATICS, Reader
from preprocess.store.sqlite.packs import write_packs
from preprocess.store.sqlite.upsert import upsert
from preprocess.store.tables import Table
from preprocess.store.writing import Writer

# Julian day of 1970-01-01; julianday() of a plain date is that of its midnight.
_PRICES = (
    "SELECT julianday(date) - 2440587.5, open, high, low, close, volume, adjusted"
    " FROM price_movements WHERE bse_code = ? ORDER BY date"
)


class SQLiteReader(Reader):
    """The reads of one connection; inside a transaction they see its own writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> Iterable[tuple[Any, ...]]:
        return self._connection.execute(sql, parameters)

    def history(self, bse_code: str, *, with_prices: bool = True) -> StockHistory | None:
        """All that is stored of one stock; None when the stock is not known."""
        key = (bse_code,)
        if self._row("SELECT 1 FROM stocks WHERE bse_code = ?", key) is None:
            return None
        bars = self._connection.execute(_PRICES, key).fetchall() if with_prices else []
        results, actions, labels, statics = (
            tuple(map(part.value, self._rows(part.select, key)))
            for part in (RESULTS, ACTIONS, LABELS, STATICS)
        )
        return StockHistory(bse_code, _prices(bars), results, actions, labels, statics)

    def histories_of(
        self, bse_codes: Iterable[str], *, with_prices: bool = True
    ) -> Iterator[StockHistory]:
        """The histories of `bse_codes`, in their order; unknown ones are skipped."""
        found = (self.history(code, with_prices=with_prices) for code in bse_codes)
        return (history for history in found if history is not None)


class SQLiteWriter(SQLiteReader, Writer):
    """The writes of one transaction on a connection that is inside BEGIN IMMEDIATE."""

    def _run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        return self._connection.execute(sql, parameters).rowcount

    def _in_transaction(self) -> bool:
        return self._connection.in_transaction

    def _enter_stocks(self, codes: Iterable[str]) -> set[str]:
        enter = "INSERT INTO stocks (bse_code) VALUES (?) ON CONFLICT DO NOTHING"
        return {code for code in codes if self._run(enter, (code,))}

    def _upsert(
        self, table: Table, rows: Sequence[tuple[object, ...]]
    ) -> tuple[Tally, Iterable[tuple[str, str]]]:
        return upsert(self._connection, table, rows)

    def _append(self, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        marks = ", ".join("?" * len(table.columns))
        self._connection.executemany(
            f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})",  # noqa: S608 - names are constants
            rows,
        )

    def _write_packs(self, stale: StalePacks) -> set[str]:
        def stocks(codes: Iterable[str]) -> Iterable[StockHistory]:
            return self.histories_of(codes, with_prices=False)

        return write_packs(self._connection, stocks, stale)

    def _log_changes(self, changes: Sequence[tuple[str, str]], token: str) -> None:
        self._connection.executemany(
            "INSERT INTO change_log (bse_code, date, token) VALUES (?, ?, ?)",
            [(code, day, token) for code, day in changes],
        )


def pack_everything(connection: sqlite3.Connection) -> None:
    """Write every pack from the rows, at the end of a migration that changes their layout."""
    writer = SQLiteWriter(connection)
    writer.rebuild_packs(writer.bse_codes())
    writer.finish()


def _prices(rows: list[tuple[float, ...]]) -> Prices:
    if not rows:
        return Prices.empty()
    columns = np.array(rows, dtype=np.float64).T.copy()
    return Prices(
        days=columns[0].astype(np.int32),
        open=columns[1],
        high=columns[2],
        low=columns[3],
        close=columns[4],
        volume=columns[5],
        adjusted=columns[6].astype(np.bool_),
    )
