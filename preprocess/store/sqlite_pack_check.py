"""Packs against the rows that they were made of: rows edited by hand leave the packs behind."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence

from preprocess.store.base import Writer
from preprocess.store.packs import price_pack, stock_packs
from preprocess.store.sqlite_session import SQLiteReader, SQLiteWriter
from preprocess.store.upkeep import PackCheck

_BATCH = 200

_PRICE_PACKS = "SELECT year, data FROM price_packs WHERE bse_code = ? ORDER BY year"
_STOCK_PACKS = "SELECT results, actions, labels, statics FROM stock_packs WHERE bse_code = ?"
_YEARS = (
    "SELECT DISTINCT CAST(substr(date, 1, 4) AS INTEGER) year FROM price_movements"
    " WHERE bse_code = ? UNION SELECT year FROM price_packs WHERE bse_code = ? ORDER BY year"
)
# Packs of a stock that is not there: readers of columns would see it, readers of rows would not.
_STRAYS = (
    "SELECT bse_code FROM stock_packs WHERE bse_code NOT IN (SELECT bse_code FROM stocks)"
    " UNION SELECT bse_code FROM price_packs WHERE bse_code NOT IN (SELECT bse_code FROM stocks)"
)


def check_packs(connection: sqlite3.Connection, derive: Callable[[Writer], None]) -> PackCheck:
    """Compare all packs with their rows; write the wrong ones anew and log their stocks.

    `derive` brings up to date what follows from the rows of the stocks that were put right. The
    connection must be in autocommit mode. Stocks are read some hundreds at a time, each of them as
    of one commit; what looks wrong is looked at again while nobody else can write.
    """
    codes = SQLiteReader(connection).bse_codes()
    wrong = [code for batch in _batches(codes) for code in _wrong(connection, batch)]
    if not wrong and not _strays(connection):
        return PackCheck(len(codes))
    connection.execute("BEGIN IMMEDIATE")
    try:
        writer = SQLiteWriter(connection)
        reader = SQLiteReader(connection)
        wrong = [code for code in wrong if not _agrees(connection, reader, code)]
        strays = _strays(connection)
        for code in strays:
            connection.execute("DELETE FROM price_packs WHERE bse_code = ?", (code,))
            connection.execute("DELETE FROM stock_packs WHERE bse_code = ?", (code,))
        for code in wrong:
            writer.rewrite_packs(code, _years(connection, code))
        if wrong:
            derive(writer)
        for code in strays:
            writer.touch(code)
        writer.finish()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return PackCheck(len(codes), tuple(sorted({*wrong, *strays})))


def _batches(codes: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(codes), _BATCH):
        yield codes[start : start + _BATCH]


def _wrong(connection: sqlite3.Connection, codes: Sequence[str]) -> list[str]:
    connection.execute("BEGIN")
    try:
        reader = SQLiteReader(connection)
        return [code for code in codes if not _agrees(connection, reader, code)]
    finally:
        connection.execute("COMMIT")


def _agrees(connection: sqlite3.Connection, reader: SQLiteReader, code: str) -> bool:
    expected = [
        (year, price_pack(rows))
        for year in _years(connection, code)
        if (rows := reader.price_rows(code, year))
    ]
    if connection.execute(_PRICE_PACKS, (code,)).fetchall() != expected:
        return False
    found = connection.execute(_STOCK_PACKS, (code,)).fetchone()
    return bool(found == stock_packs(reader, code))


def _years(connection: sqlite3.Connection, code: str) -> list[int]:
    """The years that a stock has bars of, or a pack."""
    return [year for (year,) in connection.execute(_YEARS, (code, code))]


def _strays(connection: sqlite3.Connection) -> list[str]:
    return [code for (code,) in connection.execute(_STRAYS)]
