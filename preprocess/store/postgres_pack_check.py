"""Packs against the rows that they were made of, in PostgreSQL: see `sqlite_pack_check`."""

from collections.abc import Callable, Iterator, Sequence

from preprocess.market import StockHistory
from preprocess.store.base import Writer
from preprocess.store.packs import STOCK_PARTS, stock_packs_of
from preprocess.store.postgres_connection import Connection
from preprocess.store.postgres_migrations import WRITERS_LOCK
from preprocess.store.postgres_packs import packed_prices
from preprocess.store.postgres_session import PostgresReader, PostgresWriter
from preprocess.store.upkeep import PackCheck

_BATCH = 200

_PARTS = ", ".join(STOCK_PARTS)
_PRICE_PACKS = "SELECT bse_code, year, data FROM price_packs WHERE bse_code = ANY(?)"
_STOCK_PACKS = f"SELECT bse_code, {_PARTS} FROM stock_packs WHERE bse_code = ANY(?)"  # noqa: S608 - names are constants
_YEARS = (
    "SELECT bse_code, extract(year FROM date)::int FROM price_movements WHERE bse_code = ANY(?)"
    " UNION SELECT bse_code, year FROM price_packs WHERE bse_code = ANY(?)"
)
_STRAYS = (
    "SELECT bse_code FROM stock_packs WHERE bse_code NOT IN (SELECT bse_code FROM stocks)"
    " UNION SELECT bse_code FROM price_packs WHERE bse_code NOT IN (SELECT bse_code FROM stocks)"
)


def check_packs(connection: Connection, derive: Callable[[Writer], None]) -> PackCheck:
    """Compare all packs with their rows; write the wrong ones anew and log their stocks."""
    codes = PostgresReader(connection).bse_codes()
    wrong: list[str] = []
    for batch in _batches(codes):
        connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            wrong += _wrong(connection, batch)
        finally:
            _undo(connection)
    if not wrong and not _strays(connection):
        return PackCheck(len(codes))
    connection.run("BEGIN")
    try:
        connection.run("SELECT pg_advisory_xact_lock(?)", (WRITERS_LOCK,))
        writer = PostgresWriter(connection)
        wrong = [code for batch in _batches(wrong) for code in _wrong(connection, batch)]
        strays = _strays(connection)
        for table in ("price_packs", "stock_packs"):
            connection.run(f"DELETE FROM {table} WHERE bse_code = ANY(?)", (strays,))  # noqa: S608 - constants
        years = _years(connection, wrong)
        for code in wrong:
            writer.rewrite_packs(code, [year for name, year in years if name == code])
        if wrong:
            derive(writer)
        for code in strays:
            writer.touch(code)
        writer.finish()
        connection.run("COMMIT")
    except BaseException:
        _undo(connection)
        raise
    return PackCheck(len(codes), tuple(sorted({*wrong, *strays})))


def _wrong(connection: Connection, codes: Sequence[str]) -> list[str]:
    """Those of `codes` whose packs are not what their rows make."""
    years = _years(connection, codes)
    expected = {
        (*key, pack)
        for key, pack in zip(years, packed_prices(connection, years), strict=True)
        if pack
    }
    found = set(connection.query_once(_PRICE_PACKS, (list(codes),)))
    wrong = {code for code, _, _ in expected ^ found}
    packs = {row[0]: row[1:] for row in connection.query_once(_STOCK_PACKS, (list(codes),))}
    stocks: Iterator[StockHistory] = PostgresReader(connection).histories(codes, with_prices=False)
    wrong |= {
        stock.bse_code for stock in stocks if packs.get(stock.bse_code) != stock_packs_of(stock)
    }
    return sorted(wrong)


def _years(connection: Connection, codes: Sequence[str]) -> list[tuple[str, int]]:
    """The years that each stock has bars of, or a pack."""
    rows = connection.query_once(_YEARS, (list(codes), list(codes)))
    return sorted((code, int(year)) for code, year in rows)


def _strays(connection: Connection) -> list[str]:
    return [code for (code,) in connection.query_once(_STRAYS)]


def _batches(codes: Sequence[str]) -> Iterator[Sequence[str]]:
    return (codes[start : start + _BATCH] for start in range(0, len(codes), _BATCH))


def _undo(connection: Connection) -> None:
    if not connection.closed and connection.in_transaction:
        connection.run("ROLLBACK")
