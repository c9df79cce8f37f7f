"""FeatureOptimizer: the served features of one stock or of the whole market, in one pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd
import talib
from numpy.typing import NDArray

from preprocess.errors import FeatureError
from preprocess.features.batch import STATUSES, BatchRows, as_dates, batch_rows, stock_indices
from preprocess.features.kernel import (
    BAND_DEVIATIONS,
    BAND_PERIOD,
    MACD_FAST,
    MACD_SIGNAL,
    MACD_SLOW,
    RSI_PERIOD,
)
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.features.research import research_features
from preprocess.market.calendar import day_number
from preprocess.market.columns import Indices, MarketColumns
from preprocess.market.values import Days, Floats, is_bse_code
from preprocess.store import Store

LONGEST_PERIOD = 100_000  # TA-Lib's own limit


@dataclass(frozen=True, slots=True)
class Extract:
    """Rows in the order of `bse_codes`; see BatchRows."""

    bse_codes: tuple[str, ...]
    day: date
    rows: BatchRows

    @property
    def status(self) -> list[str]:
        """The status of each row: OK, SHORT_HISTORY, UNKNOWN_STOCK."""
        return [STATUSES[number].value for number in self.rows.status.tolist()]

    def frame(self) -> pd.DataFrame:
        """One row a stock, the 25 features as columns in manifest order."""
        index = pd.Index(self.bse_codes, name="bse_code", dtype=object)
        return pd.DataFrame(self.rows.values, index=index, columns=list(FEATURE_NAMES))


class FeatureOptimizer:
    """Features from a store, as of the newest commit at each call."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._columns: MarketColumns | None = None

    def market(self) -> MarketColumns:
        """The current columns of all stocks; they are read again only after a commit.

        Raises:
            StoreError: the database cannot be read.
        """
        columns = self._columns
        if columns is None or columns.mark != self._store.mark():
            columns = self._columns = self._store.columns()
        return columns

    @staticmethod
    def calculate_rsi_vectorized(
        close: Floats, period: int = RSI_PERIOD, starts: Indices | None = None
    ) -> Floats:
        """Wilder's RSI, 0 to 100, of one stock's closes [n], or of the concatenated closes of many.

        `starts` are int64 [stocks + 1] offsets into the closes. TA-Lib computes each stock alone: a
        call over the whole column would carry one stock's averages into the next. NaN where there
        is no value yet. The same holds for the other two.

        Raises:
            FeatureError: the closes or offsets have another shape, or the period is out of range.
        """
        _check_periods(period)
        (series,) = _by_stock(lambda one: (talib.RSI(one, period),), 1, close, starts)
        return series

    @staticmethod
    def calculate_macd_vectorized(
        close: Floats,
        fast: int = MACD_FAST,
        slow: int = MACD_SLOW,
        signal: int = MACD_SIGNAL,
        *,
        starts: Indices | None = None,
    ) -> tuple[Floats, Floats, Floats]:
        """MACD line, signal and histogram in rupees, each float64 [n]."""
        _check_periods(fast, slow)
        _check_periods(signal, least=1)
        line, average, histogram = _by_stock(
            lambda one: talib.MACD(one, fast, slow, signal), 3, close, starts
        )
        return line, average, histogram

    @staticmethod
    def calculate_bollinger_vectorized(
        close: Floats,
        period: int = BAND_PERIOD,
        deviations: float = BAND_DEVIATIONS,
        starts: Indices | None = None,
    ) -> tuple[Floats, Floats, Floats]:
        """Upper, middle and lower band in rupees, each float64 [n]."""
        _check_periods(period)
        upper, middle, lower = _by_stock(
            lambda one: talib.BBANDS(one, period, deviations, deviations), 3, close, starts
        )
        return upper, middle, lower

    def research(self, bse_code: str, day: date) -> dict[str, float]:
        """The wider library of features, none of which is served: see features.research.

        Raises:
            FeatureError: there is no such stock.
            StoreError: the database cannot be read.
        """
        history = self._store.history(bse_code)
        if history is None:
            raise FeatureError(f"There is no stock {bse_code!r} in the database.")
        return research_features(history, day)

    def batch_extract_features(self, bse_codes: Sequence[str] | None, day: date) -> pd.DataFrame:
        """The features of `bse_codes` (None: all stocks) as of `day`, one row each, float64.

        A stock that is unknown or has too short a history has a row of NaN; `extract` says which.

        Raises:
            FeatureError: a code is not six digits.
            StoreError: the database cannot be read.
        """
        return self.extract(bse_codes, day).frame()

    def extract(self, bse_codes: Sequence[str] | None, day: date) -> Extract:
        """The same, with a status for each stock. A repeated code has a row for each occurrence.

        Raises:
            FeatureError: a code is not six digits.
            StoreError: the database cannot be read.
        """
        columns = self.market()
        if bse_codes is None:
            codes = [code.decode() for code in columns.codes.tolist()]
            stocks: Indices = np.arange(len(columns), dtype=np.int64)
        else:
            codes = list(bse_codes)
            stocks = stock_indices(columns, [_code(code) for code in codes])
        days: Days = np.full(len(codes), day_number(day), dtype=np.int32)
        return Extract(tuple(codes), day, batch_rows(columns, stocks, days))

    def extract_history(self, bse_codes: Sequence[str] | None = None) -> pd.DataFrame:
        """Every labelled announcement of `bse_codes` (None: all stocks), for training.

        One row each, ascending by stock and day: bse_code, day, the 25 features as of that day,
        up_5pct, upper_circuit (NaN where it can't be known), price_change_pct, next_day, status.
        Days are dates.

        Raises:
            FeatureError: a code is not six digits.
            StoreError: the database cannot be read.
        """
        columns = self.market()
        if bse_codes is not None:
            columns = columns.only(np.array([_code(code) for code in bse_codes], dtype="S6"))
        return history_frame(columns)


def history_frame(columns: MarketColumns) -> pd.DataFrame:
    """The frame of FeatureOptimizer.extract_history for the stocks of `columns`."""
    labels = columns.labels
    stocks = np.repeat(np.arange(len(columns)), np.diff(labels.starts))
    rows = batch_rows(columns, stocks, labels["earnings_day"])
    frame = pd.DataFrame(rows.values, columns=list(FEATURE_NAMES))
    frame.insert(0, "bse_code", _texts(columns.codes)[stocks])
    frame.insert(1, "day", as_dates(labels["earnings_day"]))
    frame["up_5pct"] = labels["label"]
    known = labels["upper_circuit"] - 1.0
    frame["upper_circuit"] = np.where(known < 0.0, np.nan, known)
    frame["price_change_pct"] = labels["price_change_pct"]
    frame["next_day"] = as_dates(labels["next_day"])
    frame["status"] = np.array([status.value for status in STATUSES])[rows.status]
    return frame


def _texts(codes: NDArray[np.bytes_]) -> NDArray[np.object_]:
    return np.array([code.decode() for code in codes.tolist()], dtype=object)


def _code(code: str) -> bytes:
    if not isinstance(code, str) or not is_bse_code(code):
        raise FeatureError(f"A BSE code is text of six digits, like '500325', not {code!r}.")
    return code.encode()


def _by_stock(
    indicator: Callable[[Floats], tuple[Floats, ...]],
    count: int,
    close: Floats,
    starts: Indices | None,
) -> tuple[Floats, ...]:
    column = np.ascontiguousarray(close, dtype=np.float64)
    if np.ndim(close) != 1:
        raise FeatureError(f"Closes have one dimension, not {np.ndim(close)}.")
    # Checking offsets takes longer than the RSI of one stock does.
    ends = [0, len(column)] if starts is None else _checked(np.asarray(starts), len(column))
    out = tuple(np.empty(len(column)) for _ in range(count))
    for first, last in pairwise(ends):
        if first < last:
            for whole, part in zip(out, indicator(column[first:last]), strict=True):
                whole[first:last] = part
    return out


def _checked(starts: Indices, rows: int) -> list[int]:
    whole = starts.ndim == 1 and len(starts) > 0 and starts.dtype.kind in "iu"
    if not whole or starts[0] != 0 or starts[-1] != rows or (np.diff(starts) < 0).any():
        raise FeatureError(f"The offsets of stocks must ascend from 0 to the {rows} closes.")
    ends: list[int] = starts.tolist()
    return ends


def _check_periods(*periods: int, least: int = 2) -> None:
    for period in periods:
        if not least <= period <= LONGEST_PERIOD:
            raise FeatureError(f"A period is {least} to {LONGEST_PERIOD} rows, not {period}.")
