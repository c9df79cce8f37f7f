"""The reads and writes of one PostgreSQL connection."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from preprocess.market.values import Prices, StockHistory, Tally
from preprocess.store.packs import StalePacks
from preprocess.store.postgres.connection import Connection
from preprocess.store.postgres.packs import write_packs
from preprocess.store.postgres.row_copy import copy_in
from preprocess.store.postgres.upsert import upsert
from preprocess.store.reading import ACTIONS, LABELS, RESULTS, STATICS, Reader, StockQuery
from preprocess.store.tables import Table
from preprocess.store.writing import Writer

_BAR = np.dtype(
    [
        ("day", ">i4"),
        ("open", ">f8"),
        ("high", ">f8"),
        ("low", ">f8"),
        ("close", ">f8"),
        ("volume", ">f8"),
        ("adjusted", ">i4"),
    ]
)
# One value for all bars of a stock, as the bytes of its columns: no row becomes an object.
_BARS = (
    "(SELECT string_agg(int4send(date - DATE '1970-01-01') || float8send(open) || float8send(high)"
    " || float8send(low) || float8send(close) || float8send(volume) || int4send(adjusted),"
    " ''::bytea ORDER BY date) FROM price_movements p WHERE p.bse_code = s.bse_code)"
)
_PARTS: tuple[StockQuery, ...] = (RESULTS, ACTIONS, LABELS, STATICS)


def _histories(bars: str) -> str:
    """All that is stored of some stocks, in one statement and so as of one commit."""
    columns, joins = [], []
    for number, part in enumerate(_PARTS):
        order = ", ".join(part.order)
        arrays = ", ".join(
            f"array_agg({column} ORDER BY {order}) AS {column}" for column in part.columns
        )
        columns += [f"part_{number}.{column}" for column in part.columns]
        joins.append(
            f"CROSS JOIN LATERAL (SELECT {arrays} FROM {part.table} p"  # noqa: S608 - names are constants
            f" WHERE p.bse_code = s.bse_code) part_{number}"
        )
    return (
        f"SELECT s.bse_code, {bars}, {', '.join(columns)} FROM stocks s {' '.join(joins)}"  # noqa: S608
        " WHERE s.bse_code = ANY(?)"
    )


_WHOLE = _histories(_BARS)
_WITHOUT_BARS = _histories("NULL::bytea")


class PostgresHistories(Reader):
    """What reads whole histories, for a store and for a transaction."""

    def history(self, bse_code: str) -> StockHistory | None:
        """All that is stored of one stock; None when the stock is not known."""
        return next(self.histories_of([bse_code]), None)

    def histories_of(
        self, bse_codes: Sequence[str], *, with_prices: bool = True
    ) -> Iterator[StockHistory]:
        """The histories of `bse_codes`, in their order; unknown ones are skipped."""
        sql = _WHOLE if with_prices else _WITHOUT_BARS
        found = {
            code: _history(code, bars, arrays)
            for code, bars, *arrays in self._rows(sql, (list(bse_codes),))
        }
        return (found[code] for code in bse_codes if code in found)


class PostgresReader(PostgresHistories):
    """The reads of one connection; inside a transaction they see its own writes."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> Iterable[tuple[Any, ...]]:
        return self._connection.query(sql, parameters)


class PostgresWriter(PostgresReader, Writer):
    """The writes of one transaction on a connection inside it that holds the writers' lock."""

    def _run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        return self._connection.run(sql, parameters)

    def _in_transaction(self) -> bool:
        return self._connection.in_transaction

    def _enter_stocks(self, codes: Iterable[str]) -> set[str]:
        entered = self._rows(
            "INSERT INTO stocks (bse_code) SELECT unnest(?::text[])"
            " ON CONFLICT DO NOTHING RETURNING bse_code",
            (sorted(codes),),
        )
        return {code for (code,) in entered}

    def _upsert(
        self, table: Table, rows: Sequence[tuple[object, ...]]
    ) -> tuple[Tally, Iterable[tuple[str, str]]]:
        return upsert(self._connection, table, rows)

    def _append(self, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        copy_in(self._connection, table.name, table.columns, rows)

    def _write_packs(self, stale: StalePacks) -> set[str]:
        def stocks(codes: Sequence[str]) -> Iterable[StockHistory]:
            return self.histories_of(codes, with_prices=False)

        return write_packs(self._connection, stocks, stale)

    def _log_changes(self, changes: Sequence[tuple[str, str]], token: str) -> None:
        codes, days = [code for code, _ in changes], [day for _, day in changes]
        self._connection.query_once(
            "INSERT INTO change_log (bse_code, date, token)"
            " SELECT bse_code, day, ? FROM unnest(?::text[], ?::date[])"
            " WITH ORDINALITY AS changes(bse_code, day, position) ORDER BY position",
            (token, codes, days),
        )


def pack_everything(connection: Connection) -> None:
    """Write every pack from the rows, at the end of a migration that changes their layout."""
    writer = PostgresWriter(connection)
    writer.rebuild_packs(writer.bse_codes())
    writer.finish()


def _history(code: str, bars: bytes | None, arrays: Sequence[list[Any] | None]) -> StockHistory:
    parts, start = [], 0
    for part in _PARTS:
        columns = arrays[start : start + len(part.columns)]
        start += len(part.columns)
        rows = zip(*(column or [] for column in columns), strict=True)
        parts.append(tuple(map(part.value, rows)))
    results, actions, labels, statics = parts
    return StockHistory(code, _prices(bars), results, actions, labels, statics)


def _prices(bars: bytes | None) -> Prices:
    if not bars:
        return Prices.empty()
    rows = np.frombuffer(bars, dtype=_BAR)
    return Prices(
        days=rows["day"].astype(np.int32),
        open=rows["open"].astype(np.float64),
        high=rows["high"].astype(np.float64),
        low=rows["low"].astype(np.float64),
        close=rows["close"].astype(np.float64),
        volume=rows["volume"].astype(np.float64),
        adjusted=rows["adjusted"].astype(np.bool_),
    )
