"""The ways in which features are computed, each run in a process of its own (see measure).

A setup opens what the way keeps open and warms what is to be warm. Every repetition is given other
stocks or another day.
"""

import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd

from preprocess.feature_optimizer import FeatureOptimizer
from preprocess.features.batch import batch_rows
from preprocess.features.financial import financial_features
from preprocess.market.calendar import day_number
from preprocess.market.columns import Array, columns_of
from preprocess.market.golden_row import GOLDEN_DATE, golden_history
from preprocess.serving.service import FeatureService
from preprocess.settings import Settings
from preprocess.store import Store, open_store
from tests.performance.measure import Repetition, Times, timed, timed_each
from tests.performance.naive import (
    Source,
    connect,
    naive_features,
    naive_financials,
    naive_macd,
    naive_rsi,
    query,
)
from tests.performance.pairs import Chunks, Pair

_WARMING = 30


def naive_rows(source: Source, chunks: Chunks) -> Repetition:
    """The naive way, one pair after another; the result is float64 [n, 25]."""
    warnings.filterwarnings("ignore", "pandas only supports SQLAlchemy")
    naive_features(source, *chunks[0][0])

    def repetition(number: int) -> Times:
        rows: list[list[float]] = []
        times = timed_each(lambda pair: rows.append(naive_features(source, *pair)), chunks[number])
        return replace(times, result=np.array(rows))

    return repetition


def batch(settings: Settings, days: Sequence[date]) -> Repetition:
    """All stocks as of a day, from an optimizer that holds nothing yet; the result is values."""
    warm_up()
    opened: list[Store] = []

    def rows(day: date) -> Array:
        store = open_store(settings)
        opened.append(store)
        values: Array = FeatureOptimizer(store).batch_extract_features(None, day).to_numpy()
        return values

    def repetition(number: int) -> Times:
        while opened:
            opened.pop().close()
        return timed(lambda: rows(days[number]))

    return repetition


def one_stock(settings: Settings, chunks: Chunks) -> Repetition:
    """All 25 features of one stock from its packs in the database."""
    warm_up()
    store = open_store(settings)

    def row(pair: Pair) -> None:
        columns = store.columns([pair[0]])
        day = np.array([day_number(date.fromisoformat(pair[1]))], dtype=np.int32)
        batch_rows(columns, np.zeros(1, dtype=np.int64), day)

    return lambda number: timed_each(row, chunks[number])


def on_line(settings: Settings, chunks: Chunks) -> Repetition:
    """One row at a time, as Triton's Python model asks for it."""
    service = FeatureService(lambda: open_store(settings))
    service.warm_up()
    pairs = [[(code.encode(), day.encode()) for code, day in chunk] for chunk in chunks]
    warming = pairs[0][:_WARMING]  # this process has waited for its turn, and is cold

    def row(pair: tuple[bytes, bytes]) -> None:
        answer = service.rows([pair[0]], [pair[1]])
        if answer.status[0] != b"OK":
            raise AssertionError(f"{pair}: {answer.status[0]!r}")

    def repetition(number: int) -> Times:
        timed_each(row, warming)
        return timed_each(row, pairs[number])

    return repetition


def pandas_indicator(settings: Settings, name: str, chunks: Chunks) -> Repetition:
    """RSI or MACD by pandas over one stock's whole series, in memory."""
    series = [[pd.Series(close) for close in chunk] for chunk in _closes(settings, chunks)]
    by_name: dict[str, Callable[[pd.Series], object]] = {"rsi": naive_rsi, "macd": naive_macd}
    return lambda number: timed_each(by_name[name], series[number])


def indicator(settings: Settings, name: str, chunks: Chunks) -> Repetition:
    """The same by FeatureOptimizer."""
    closes = _closes(settings, chunks)
    calculate = getattr(FeatureOptimizer, f"calculate_{name}_vectorized")
    return lambda number: timed_each(calculate, closes[number])


def pandas_financials(source: Source, chunks: Chunks) -> Repetition:
    """The six financial features by pandas, of results that have been read."""
    text = "SELECT * FROM historical_financials WHERE bse_code = ? ORDER BY fiscal_year, quarter"
    with closing(connect(source)) as connection:
        frames = [
            [
                (pd.read_sql_query(query(source, text), connection, params=(code,)), day)
                for code, day in chunk
            ]
            for chunk in chunks
        ]
    return lambda number: timed_each(lambda item: naive_financials(*item), frames[number])


def financials(settings: Settings, chunks: Chunks) -> Repetition:
    """The same by preprocess.features.financial."""
    with closing(open_store(settings)) as store:
        items = [
            [
                (history.results, date.fromisoformat(day))
                for (_, day), history in zip(
                    chunk, store.histories([code for code, _ in chunk]), strict=True
                )
            ]
            for chunk in chunks
        ]
    return lambda number: timed_each(lambda item: financial_features(*item), items[number])


def warm_up() -> None:
    """Compile, or load from numba's cache, what is compiled."""
    day = np.array([day_number(GOLDEN_DATE)], dtype=np.int32)
    batch_rows(columns_of([golden_history()]), np.zeros(1, dtype=np.int64), day)


def _closes(settings: Settings, chunks: Chunks) -> list[list[Array]]:
    """Each pair's closes as far as its day."""
    with closing(open_store(settings)) as store:
        columns = store.columns()
    prices = columns.prices

    def closes(pair: Pair) -> Array:
        index = columns.index_by_code[pair[0].encode()]
        rows = slice(prices.starts[index], prices.starts[index + 1])
        day = day_number(date.fromisoformat(pair[1]))
        until = np.searchsorted(prices["day"][rows], day, side="right")
        return prices["close"][rows][:until].copy()

    return [[closes(pair) for pair in chunk] for chunk in chunks]
