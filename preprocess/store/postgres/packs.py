"""Packs in PostgreSQL: written at the end of a transaction, read as of one commit."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from preprocess.market.columns import MarketColumns
from preprocess.market.values import Mark, StockHistory
from preprocess.store.packs import (
    ENTERED,
    LISTED,
    RECORDS,
    STOCK_PARTS,
    PackCollector,
    StalePacks,
    market_columns,
    stock_packs,
)
from preprocess.store.postgres.binary_copy import OneColumnSink
from preprocess.store.postgres.connection import Connection

_WRITE_CHUNK = 200  # packs of a year are 8 KB, twice that as text
_READ_CHUNK = 500
# Up to here one prepared statement; beyond it COPY, which sends bytes where a row sends text.
FEW = 50

_PARTS = ", ".join(STOCK_PARTS)

# A price record as PostgreSQL writes it: the same fields, big-endian.
_PRICE_RECORD = RECORDS["prices"].newbyteorder(">")
_PRICE_RECORDS = (
    "SELECT string_agg(int4send(p.date - DATE '1970-01-01') || int4send(p.adjusted)"
    " || float8send(p.open) || float8send(p.close) || float8send(p.volume), ''::bytea"
    " ORDER BY p.date)"
    " FROM unnest(?::text[], ?::int[]) WITH ORDINALITY AS y(bse_code, year, position)"
    " LEFT JOIN price_movements p ON p.bse_code = y.bse_code"
    " AND p.date BETWEEN make_date(y.year, 1, 1) AND make_date(y.year, 12, 31)"
    " GROUP BY y.position ORDER BY y.position"
)
_PUT_PRICES = (
    "INSERT INTO price_packs (bse_code, year, data)"
    " SELECT * FROM unnest(?::text[], ?::int[], ?::bytea[])"
    " ON CONFLICT (bse_code, year) DO UPDATE SET data = excluded.data"
    " WHERE price_packs.data <> excluded.data RETURNING bse_code"
)
_DROP_PRICES = (
    "DELETE FROM price_packs WHERE (bse_code, year) IN (SELECT * FROM unnest(?::text[], ?::int[]))"
    " RETURNING bse_code"
)
_PUT_STOCKS = (
    f"INSERT INTO stock_packs (bse_code, {_PARTS})"  # noqa: S608 - names are constants
    f" SELECT * FROM unnest(?::text[]{', ?::bytea[]' * len(STOCK_PARTS)})"
    " ON CONFLICT (bse_code) DO UPDATE SET "
    + ", ".join(f"{part} = excluded.{part}" for part in STOCK_PARTS)
    + f" WHERE ({', '.join(f'stock_packs.{part}' for part in STOCK_PARTS)})"
    f" <> ({', '.join(f'excluded.{part}' for part in STOCK_PARTS)}) RETURNING bse_code"
)
# The mark and the packs in one statement: what one statement reads was committed together.
_FEW_STOCKS = (
    f"SELECT n.sequence, n.token, k.bse_code, {_PARTS}, k.prices, k.bars FROM (SELECT 1) one"  # noqa: S608
    " LEFT JOIN (SELECT sequence, token FROM change_log ORDER BY sequence DESC LIMIT 1) n ON true"
    " LEFT JOIN (SELECT s.*, y.* FROM stock_packs s CROSS JOIN LATERAL ("
    "  SELECT string_agg(p.data, ''::bytea ORDER BY p.year) AS prices,"
    f"  sum(octet_length(p.data) / {RECORDS['prices'].itemsize}) AS bars"
    "  FROM price_packs p WHERE p.bse_code = s.bse_code) y"
    "  WHERE s.bse_code = ANY(?)) k ON true"
    " ORDER BY k.bse_code"
)


def packed_prices(connection: Connection, years: Sequence[tuple[str, int]]) -> Iterator[bytes]:
    """The pack of each stock and year, made from its rows; empty where there are no rows."""
    codes, numbers = [code for code, _ in years], [year for _, year in years]
    rows = connection.query(_PRICE_RECORDS, (codes, numbers))
    return (_turned(records or b"") for (records,) in rows)


def write_packs(
    connection: Connection,
    histories: Callable[[Sequence[str]], Iterable[StockHistory]],
    stale: StalePacks,
) -> set[str]:
    """Write the packs of `stale` from the rows, within the caller's transaction.

    `histories` gives all that is stored of some stocks but their prices. Returns the stocks
    of which a pack has changed.
    """
    changed: list[tuple[str]] = []
    entered = [
        row
        for query, stocks in ((ENTERED, stale.stocks), (LISTED, stale.only_prices()))
        for codes in _chunks(sorted(stocks))
        for row in connection.query(f"{query} WHERE s.bse_code = ANY(?)", (codes,))
    ]
    for years in _chunks(stale.price_years_of(entered)):
        found = list(zip(years, packed_prices(connection, years), strict=True))
        kept = [(*key, pack) for key, pack in found if pack]
        gone = [key for key, pack in found if not pack]
        if kept:
            changed += connection.query_once(_PUT_PRICES, _columns(kept))
        if gone:
            changed += connection.query_once(_DROP_PRICES, _columns(gone))
    for codes in _chunks(sorted(stale.stocks)):
        rows = [(stock.bse_code, *stock_packs(stock)) for stock in histories(codes)]
        if rows:
            changed += connection.query_once(_PUT_STOCKS, _columns(rows))
    return {code for (code,) in changed}


def read_all(connection: Connection, mark: Mark, codes: Sequence[str] | None) -> MarketColumns:
    """The columns of `codes`, ascending, or of all, inside the caller's read transaction.

    Raises:
        StoreError: a pack is damaged.
    """
    chosen = "" if codes is None else " WHERE bse_code = ANY(%s)"
    parameters = () if codes is None else (list(codes),)
    # Packs come in the order of their key by its index: a sort would carry 8 KB a row.
    connection.run("SET LOCAL enable_sort = off")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT bse_code, {_PARTS} FROM stock_packs{chosen} ORDER BY bse_code",  # noqa: S608
            parameters,
        )
        stocks = cursor.fetchall()
        cursor.execute(
            f"SELECT bse_code, sum(octet_length(data) / {RECORDS['prices'].itemsize})"  # noqa: S608
            f" FROM price_packs{chosen} GROUP BY bse_code",
            parameters,
        )
        counts = dict(cursor.fetchall())
        ordered = f"SELECT data FROM price_packs{chosen} ORDER BY bse_code, year"  # noqa: S608
        copy = cursor.mogrify(f"COPY ({ordered}) TO STDOUT (FORMAT binary)", parameters).decode()

        def add_prices(prices: PackCollector) -> None:
            pending: list[bytes] = []

            def take(pack: bytes) -> None:
                pending.append(pack)
                if len(pending) >= _READ_CHUNK:
                    prices.add(pending)
                    pending.clear()

            cursor.copy_expert(copy, OneColumnSink(take))
            prices.add(pending)

        return market_columns(mark, stocks, [counts.get(row[0], 0) for row in stocks], add_prices)


def read_few(connection: Connection, codes: Sequence[str]) -> MarketColumns:
    """The columns of up to FEW stocks, ascending, in one prepared statement.

    Raises:
        StoreError: a pack is damaged.
    """
    rows = connection.query(_FEW_STOCKS, (list(codes),))
    sequence, token = rows[0][:2]
    stocks = [row[2:] for row in rows if row[2] is not None]
    mark = Mark() if sequence is None else Mark(sequence, token)
    # Bars are counted pack by pack: what one pack lacks, another may have too much.
    bars = [row[-1] or 0 for row in stocks]
    return market_columns(
        mark, stocks, bars, lambda prices: prices.add(row[-2] or b"" for row in stocks)
    )


def _turned(records: bytes) -> bytes:
    return np.frombuffer(records, dtype=_PRICE_RECORD).astype(RECORDS["prices"]).tobytes()


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _WRITE_CHUNK] for start in range(0, len(items), _WRITE_CHUNK))
