"""The ways in which the database is queried, each run in a process of its own (see measure)."""

import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gateway.cache.cache_manager import CacheManager
from preprocess.db_optimizer import DBOptimizer
from preprocess.market.columns import Array
from preprocess.settings import Settings
from preprocess.store.packs import RECORDS, collected
from tests.performance.measure import Repetition, Times, timed, timed_each
from tests.performance.naive import Source, connect

Codes = Sequence[Sequence[str]]

_ALL_COLUMNS = "SELECT * FROM price_movements WHERE bse_code = ? ORDER BY date"
# What indicators are computed from.
_FEW_COLUMNS = "SELECT close, volume FROM price_movements WHERE bse_code = ? ORDER BY date"
_RESULTS = (
    "SELECT fiscal_year, quarter, announced_on, revenue_cr, pat_cr, operating_profit_cr, eps"
    " FROM historical_financials WHERE bse_code = ? ORDER BY fiscal_year, quarter"
)
# The filing limit, where the day of the announcement is not recorded: see calendar.
_KNOWN = {
    "sqlite": "coalesce(f.announced_on,"
    " date(f.period_end, CASE f.quarter WHEN 'Q4' THEN '+60 days' ELSE '+45 days' END))",
    "postgres": "coalesce(f.announced_on,"
    " f.period_end + CASE f.quarter WHEN 'Q4' THEN 60 ELSE 45 END)",
}
_JOIN = """
SELECT l.bse_code, l.earnings_date, p.date AS price_date, p.close, p.volume,
       f.fiscal_year, f.quarter, f.revenue_cr, f.pat_cr, f.operating_profit_cr, f.eps,
       l.next_day_date, l.price_change_pct, l.label
FROM upper_circuit_labels l
LEFT JOIN price_movements p ON p.bse_code = l.bse_code AND p.date = (
    SELECT max(date) FROM price_movements
    WHERE bse_code = l.bse_code AND date <= l.earnings_date)
LEFT JOIN historical_financials f ON f.bse_code = l.bse_code
    AND f.fiscal_year * 10 + CAST(substr(f.quarter, 2) AS INTEGER) = (
    SELECT max(f.fiscal_year * 10 + CAST(substr(f.quarter, 2) AS INTEGER))
    FROM historical_financials f
    WHERE f.bse_code = l.bse_code AND {known} <= l.earnings_date)
ORDER BY l.bse_code, l.earnings_date
"""
_SAMPLES = "SELECT * FROM announcement_samples ORDER BY bse_code, earnings_date"
# The columns that are compared.
_JOINED = ("close", "volume", "eps", "label")


def naive_prices(source: Source, codes: Codes) -> Repetition:
    """Connect, and one stock's bars as a data frame."""
    _quiet()

    def prices(code: str) -> pd.DataFrame:
        with closing(connect(source)) as connection:
            return pd.read_sql_query(_ALL_COLUMNS, connection, params=(code,))

    prices(codes[0][0])
    return lambda number: timed_each(prices, codes[number])


def pooled_prices(settings: Settings, codes: Codes) -> Repetition:
    """Closes and volumes over a connection out of the pool."""
    pool = DBOptimizer(settings).create_connection_pool()

    def prices(code: str) -> list[Any]:
        with pool.connection() as connection:
            return list(connection.execute(_FEW_COLUMNS, (code,)).fetchall())

    prices(codes[0][0])
    return lambda number: timed_each(prices, codes[number])


def packed_prices(settings: Settings, codes: Codes) -> Repetition:
    """One stock's packs out of the database, as an array of records."""
    pool = DBOptimizer(settings).create_connection_pool()
    text = "SELECT data FROM price_packs WHERE bse_code = ? ORDER BY year"

    def prices(code: str) -> Array:
        with pool.connection() as connection:
            packs = connection.execute(text, (code,)).fetchall()
        return np.frombuffer(b"".join([pack for (pack,) in packs]), dtype=RECORDS["prices"])

    prices(codes[0][0])
    return lambda number: timed_each(prices, codes[number])


def cached_batch(settings: Settings, codes: Codes) -> Repetition:
    """A hundred stocks' bars out of the query cache; each batch was queried before."""
    optimizer = DBOptimizer(settings, CacheManager.from_settings(settings))

    def batch(chunk: Sequence[str]) -> int:
        return sum(len(optimizer.query_with_cache(_FEW_COLUMNS, (code,)).rows) for code in chunk)

    def repetition(number: int) -> Times:
        batch(codes[number])  # here and not in the setup: the TTL is a minute
        return timed(lambda: batch(codes[number]))

    return repetition


def naive_results(source: Path, codes: Codes) -> Repetition:
    """Connect, and one stock's results as a data frame."""

    def results(code: str) -> pd.DataFrame:
        with closing(connect(source)) as connection:
            return pd.read_sql_query(_RESULTS, connection, params=(code,))

    results(codes[0][0])
    return lambda number: timed_each(results, codes[number])


def all_results(settings: Settings) -> Repetition:
    """Every stock's results in one pass over their packs."""
    pool = DBOptimizer(settings).create_connection_pool()
    text = "SELECT results FROM stock_packs ORDER BY bse_code"

    def results() -> int:
        with pool.connection() as connection:
            packs = connection.execute(text).fetchall()
        return collected("results", [len(p) for (p,) in packs], [p for (p,) in packs]).rows

    results()
    return lambda _: timed(results)


def naive_join(source: Source) -> Repetition:
    """The join in SQL, as of each date, into a data frame; the result is its columns."""
    _quiet()
    text = _JOIN.format(known=_KNOWN["sqlite" if isinstance(source, Path) else "postgres"])

    def join() -> dict[str, Array]:
        with closing(connect(source)) as connection:
            frame = pd.read_sql_query(text, connection)
        return {name: frame[name].to_numpy() for name in _JOINED}

    return lambda number: _seen_once(number, timed(join))


def product_join(settings: Settings) -> Repetition:
    """The join as the database keeps it, a table or a materialised view; the result is as above."""
    with DBOptimizer(settings) as optimizer:
        optimizer.refresh_samples()
    pool = DBOptimizer(settings).create_connection_pool()

    def join() -> dict[str, Array]:
        with pool.connection() as connection:
            cursor = connection.cursor()
            cursor.execute(_SAMPLES)
            names = [column[0] for column in cursor.description]
            columns = dict(zip(names, zip(*cursor.fetchall(), strict=True), strict=True))
        return {name: np.array(columns[name], dtype=np.float64) for name in _JOINED}

    return lambda number: _seen_once(number, timed(join))


def _seen_once(number: int, times: Times) -> Times:
    """With the result of the first repetition only: they are all alike."""
    return times if number == 0 else replace(times, result=None)


def _quiet() -> None:
    warnings.filterwarnings("ignore", "pandas only supports SQLAlchemy")
