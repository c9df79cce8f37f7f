"""Packs in SQLite: written at the end of a transaction, read in one pass as of one commit."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import numpy as np

from preprocess.market.columns import MarketColumns
from preprocess.market.values import Mark, StockHistory, is_bse_code
from preprocess.store.packs import (
    ENTERED,
    LISTED,
    RECORDS,
    STOCK_PARTS,
    PackCollector,
    StalePacks,
    market_columns,
    price_pack,
    row_counts,
    stock_packs,
)

_CHUNK = 500  # packs of a year are 8 KB
# A stock by its key takes 20 us; from here on one pass over all is quicker.
_FEW = 2_000

_PARTS = ", ".join(STOCK_PARTS)
# julianday() of a plain date is that of its midnight; the figure is that of 1970-01-01.
_PRICE_ROWS = (
    "SELECT julianday(date) - 2440587.5, adjusted, open, close, volume"
    " FROM price_movements WHERE bse_code = ? AND date BETWEEN ? AND ? ORDER BY date"
)
_PUT_PRICES = (
    "INSERT INTO price_packs (bse_code, year, data) VALUES (?, ?, ?)"
    " ON CONFLICT DO UPDATE SET data = excluded.data WHERE data IS NOT excluded.data"
)
_DROP_PRICES = "DELETE FROM price_packs WHERE bse_code = ? AND year = ?"
_PUT_STOCKS = (
    f"INSERT INTO stock_packs (bse_code, {_PARTS}) VALUES (?, ?, ?, ?, ?)"  # noqa: S608 - names are constants
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{part} = excluded.{part}' for part in STOCK_PARTS)}"
    f" WHERE ({_PARTS}) IS NOT ({', '.join(f'excluded.{part}' for part in STOCK_PARTS)})"
)


def write_packs(
    connection: sqlite3.Connection,
    histories: Callable[[Iterable[str]], Iterable[StockHistory]],
    stale: StalePacks,
) -> set[str]:
    """Write the packs of `stale` from the rows, within the caller's transaction.

    `histories` gives all that is stored of some stocks but their prices. Returns the stocks
    of which a pack has changed.
    """
    entered = [
        row
        for query, codes in ((ENTERED, stale.stocks), (LISTED, stale.only_prices()))
        for code in codes
        for row in connection.execute(f"{query} WHERE s.bse_code = ?", (code,))
    ]
    changed = set()
    for code, year in stale.price_years_of(entered):
        days = (f"{year:04d}-01-01", f"{year:04d}-12-31")
        rows = connection.execute(_PRICE_ROWS, (code, *days)).fetchall()
        if rows:
            written = connection.execute(_PUT_PRICES, (code, year, price_pack(rows)))
        else:
            written = connection.execute(_DROP_PRICES, (code, year))
        if written.rowcount:
            changed.add(code)
    for stock in histories(sorted(stale.stocks)):
        if connection.execute(_PUT_STOCKS, (stock.bse_code, *stock_packs(stock))).rowcount:
            changed.add(stock.bse_code)
    return changed


def read_columns(
    connection: sqlite3.Connection, mark: Mark, codes: Iterable[str] | None
) -> MarketColumns:
    """The columns of `codes`, or of all stocks, inside the caller's read transaction.

    Raises:
        StoreError: a pack is damaged.
    """
    wanted = None if codes is None else sorted(filter(is_bse_code, set(codes)))
    if wanted is None or len(wanted) > _FEW:
        market = _all_columns(connection, mark)
        return market if wanted is None else market.only(np.array(wanted, dtype="S6"))
    return _few_columns(connection, mark, wanted)


def _all_columns(connection: sqlite3.Connection, mark: Mark) -> MarketColumns:
    stocks = connection.execute(
        f"SELECT bse_code, {_PARTS} FROM stock_packs ORDER BY bse_code"  # noqa: S608
    ).fetchall()
    # length() of a stored value is in the row's header: this reads no pack.
    counts = dict(
        connection.execute(
            f"SELECT bse_code, sum(length(data) / {RECORDS['prices'].itemsize})"  # noqa: S608
            " FROM price_packs GROUP BY bse_code"
        )
    )

    def add_prices(prices: PackCollector) -> None:
        packs = connection.execute("SELECT data FROM price_packs ORDER BY bse_code, year")
        while chunk := packs.fetchmany(_CHUNK):
            prices.add(data for (data,) in chunk)

    return market_columns(mark, stocks, [counts.get(row[0], 0) for row in stocks], add_prices)


def _few_columns(connection: sqlite3.Connection, mark: Mark, codes: Sequence[str]) -> MarketColumns:
    by_code = f"SELECT bse_code, {_PARTS} FROM stock_packs WHERE bse_code = ?"  # noqa: S608
    stocks = [row for code in codes for row in connection.execute(by_code, (code,))]
    years = "SELECT data FROM price_packs WHERE bse_code = ? ORDER BY year"
    packs = [[data for (data,) in connection.execute(years, row[:1])] for row in stocks]
    bars = [int(row_counts("prices", list(map(len, of_stock))).sum()) for of_stock in packs]
    return market_columns(mark, stocks, bars, lambda prices: prices.add(chain(*packs)))
