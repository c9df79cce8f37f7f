"""Feature rows for codes and dates as they come over the wire, with one status per row."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Protocol

import numpy as np

from preprocess.errors import FeatureError, StoreError, StoreReplacedError
from preprocess.features.batch import golden_rows
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status
from preprocess.market.calendar import day_number, exchange_today
from preprocess.market.golden_row import GOLDEN_CODE, GOLDEN_DATE
from preprocess.market.values import Days, is_bse_code
from preprocess.serving.live import LiveMarket
from preprocess.serving.wire import WireRows
from preprocess.store import Store

_GOLDEN = (GOLDEN_CODE.encode(), GOLDEN_DATE.isoformat().encode())
_now = partial(datetime.now, UTC)
# Size of the cache from ISO dates to day numbers; requests name few days.
_MOST_DATES = 4_096


class RowCache(Protocol):
    """A cache of computed rows; gateway.cache implements one."""

    def warm_up(self) -> None:
        """Connect, so that the first request does not have to."""
        ...

    def rows(self, market: LiveMarket, codes: Sequence[bytes], days: Days) -> WireRows:
        """The rows of stocks as of day numbers, in order; a cache miss is computed.

        Raises:
            StoreError: the market cannot read its database.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class FeatureService:
    """Feature rows from a store that is opened when first needed, and again after a failure."""

    def __init__(
        self,
        opener: Callable[[], Store],
        *,
        cached: RowCache | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """`cached` is queried first for rows that would have to be computed."""
        self._opener = opener
        self._cached = cached
        self._clock = clock
        self._market: LiveMarket | None = None
        self._day_numbers: dict[bytes, int | None] = {}

    @staticmethod
    def require_width(width: int) -> None:
        """Refuse a model repository whose config was written for another feature manifest.

        Raises:
            FeatureError: the configured width is not that of the manifest.
        """
        if width != FEATURE_COUNT:
            raise FeatureError(
                f"config.pbtxt gives `features` {width} columns, the manifest has {FEATURE_COUNT}."
            )

    def warm_up(self) -> None:
        """Compile the kernel, connect the cache, and load the market if there is a database."""
        golden_rows()
        if self._cached is not None:
            self._cached.warm_up()
        self._fresh_market()

    def rows(self, codes: Sequence[bytes], days: Sequence[bytes]) -> WireRows:
        """One row for each pair of code and ISO date; one bad row does not affect the others.

        A day after today in Mumbai is no date: its features would know splits that come later.
        """
        market = self._fresh_market()
        today = day_number(exchange_today(self._clock()))
        out = WireRows.empty(len(codes))
        pending: list[int] = []
        numbers: list[int] = []
        for index, (code, text) in enumerate(zip(codes, days, strict=True)):
            number = self._day(text)
            if number is not None and number > today:
                number = None
            ready = market.ready_row(code, number) if market and number is not None else None
            if ready is not None:
                out.values[index], out.as_of[index], out.status[index] = ready
            elif not is_bse_code(code.decode("ascii", errors="replace")):
                out.status[index] = Status.INVALID_CODE.encode()
            elif number is None:
                out.status[index] = Status.INVALID_DATE.encode()
            elif market is None:
                continue
            elif (code, text) == _GOLDEN:
                out.put([index], WireRows.of(golden_rows()))
            else:
                pending.append(index)
                numbers.append(number)
        if pending and market is not None:
            subset = codes if len(pending) == len(codes) else [codes[index] for index in pending]
            try:
                out.put(pending, self._computed_rows(market, subset, numbers))
            except StoreError:
                self._close_market()
        return out

    def close(self) -> None:
        """Close the store and the cache."""
        if self._cached is not None:
            self._cached.close()
        self._close_market()

    def _close_market(self) -> None:
        market, self._market = self._market, None
        if market is not None:
            market.close()

    def _fresh_market(self) -> LiveMarket | None:
        """The market as of the newest commit; None without a database."""
        try:
            try:
                if self._market is not None:
                    self._market.refresh()
            except StoreReplacedError:
                self._close_market()
            if self._market is None:
                self._market = LiveMarket(self._opener)
        except StoreError:
            self._close_market()
        return self._market

    def _computed_rows(
        self, market: LiveMarket, codes: Sequence[bytes], numbers: Sequence[int]
    ) -> WireRows:
        days = np.array(numbers, dtype=np.int32)
        if self._cached is not None:
            return self._cached.rows(market, codes, days)
        return WireRows.of(market.rows(codes, days))

    def _day(self, text: bytes) -> int | None:
        """The day number of exactly YYYY-MM-DD; None for anything else."""
        if len(text) != 10:  # before it is remembered: callers may send megabytes
            return None
        if text not in self._day_numbers:
            if len(self._day_numbers) >= _MOST_DATES:
                self._day_numbers.clear()
            self._day_numbers[text] = _parsed_day(text)
        return self._day_numbers[text]


def _parsed_day(text: bytes) -> int | None:
    # fromisoformat alone also accepts week dates and basic dates.
    if text[4:5] != b"-" or text[7:8] != b"-":
        return None
    try:
        return day_number(date.fromisoformat(text.decode("ascii")))
    except ValueError:
        return None
