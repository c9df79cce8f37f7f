"""Technical, financial and static features as groups of their own, one after another or at once.

The product computes all groups in one pass; here each is a pass of its own, made of the kernel's
own functions, to see what running them side by side would save.
"""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.pool import Pool
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from preprocess.columns import SCHEMA, Array, MarketColumns
from preprocess.features import kernel
from preprocess.features.row import MINIMUM_ROWS
from tests.performance.market import read_columns
from tests.performance.measure import Repetition, Times, timed, timed_each

GROUPS = ("technical", "financial", "static")
WIDTHS = {"technical": 13, "financial": 6, "static": 2}

_technical, _financial, _static = kernel._technical, kernel._financial, kernel._static


@njit(cache=True, nogil=True)
def _technical_group(starts: Array, close: Array, volume: Array, out: Array) -> None:
    for stock in range(len(starts) - 1):
        first, last = starts[stock], starts[stock + 1]
        if last - first >= MINIMUM_ROWS:
            _technical(close[first:last], volume[first:last], out[stock])


@njit(cache=True, nogil=True)
def _financial_group(starts: Array, results: tuple[Array, ...], day: int, out: Array) -> None:
    for stock in range(len(starts) - 1):
        _financial(results, starts[stock], starts[stock + 1], day, out[stock])


@njit(cache=True, nogil=True)
def _static_group(starts: Array, statics: tuple[Array, ...], month: int, out: Array) -> None:
    for stock in range(len(starts) - 1):
        _static(statics, starts[stock], starts[stock + 1], month, out[stock])


def group(columns: MarketColumns, name: str, day: int) -> Array:
    """One group's features of every stock, float64 [stocks, width], as of the newest rows."""
    out = np.full((len(columns), WIDTHS[name]), np.nan)
    if name == "technical":
        prices = columns.prices
        _technical_group(prices.starts, prices["close"], prices["volume"], out)
    elif name == "financial":
        _financial_group(columns.results.starts, _arrays(columns, "results"), day, out)
    else:
        _static_group(columns.statics.starts, _arrays(columns, "statics"), 12 * 9999, out)
    return out


def sequential(database: Path) -> Repetition:
    """One group after another; the result is seconds by group."""
    columns, day = _market(database)

    def repetition(_: int) -> Times:
        found = timed_each(lambda name: group(columns, name, day), GROUPS)
        return replace(found, seconds=[sum(found.seconds)], result=found.seconds)

    return repetition


def threads(database: Path) -> Repetition:
    """A thread for each group; the threads are kept, and the compiled code lets go of the GIL."""
    pool = ThreadPoolExecutor(len(GROUPS))
    columns, day = _market(database)
    return lambda _: timed(lambda: list(pool.map(lambda name: group(columns, name, day), GROUPS)))


def pool_per_call(database: Path) -> Repetition:
    """A pool of processes made for each call, which have the market by being forked."""
    _remember(*_market(database))

    def run() -> list[Array]:
        pool = multiprocessing.get_context("fork").Pool(len(GROUPS))
        try:
            return pool.map(_remembered, GROUPS, chunksize=1)
        finally:
            _let_end(pool)

    return lambda _: timed(run)


def pool_kept(database: Path) -> Repetition:
    """A pool of processes made once; each has the market in memory already."""
    _remember(*_market(database))
    pool = multiprocessing.get_context("fork").Pool(len(GROUPS))
    Finalize(None, _let_end, (pool,), exitpriority=20)  # before the pool's own, which terminates
    pool.map(_remembered, GROUPS, chunksize=1)
    return lambda _: timed(lambda: pool.map(_remembered, GROUPS, chunksize=1))


def _let_end(pool: Pool) -> None:
    """Wait for the workers to end by themselves: one that is terminated may hold a lock."""
    pool.close()
    pool.join()


def _market(database: Path) -> tuple[MarketColumns, int]:
    """The market with every page touched, and everything compiled."""
    columns = read_columns(database)
    day = columns.newest_day() or 0
    for name in GROUPS:
        group(columns, name, day)
    return columns, day


_held: dict[str, Any] = {}


def _remember(columns: MarketColumns, day: int) -> None:
    _held["market"] = columns, day


def _remembered(name: str) -> Array:
    columns, day = _held["market"]
    return group(columns, name, day)


def _arrays(columns: MarketColumns, table: str) -> tuple[Array, ...]:
    return tuple(columns.tables[table][name] for name in SCHEMA[table])
