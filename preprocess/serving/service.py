"""Features for names and dates as they come over the wire, one status a row."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Protocol

import numpy as np

from preprocess.errors import FeatureError, StoreError
from preprocess.features.batch import golden_rows
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status
from preprocess.market.calendar import day_number
from preprocess.market.golden_row import GOLDEN_CODE, GOLDEN_DATE
from preprocess.market.values import Days, is_bse_code
from preprocess.serving.live import LiveMarket
from preprocess.serving.wire import WireRows
from preprocess.store import Store

_GOLDEN = (GOLDEN_CODE.encode(), GOLDEN_DATE.isoformat().encode())
# Spellings of days that are kept with their numbers; requests name few days.
_MOST_SPELLINGS = 4_096


class RowCache(Protocol):
    """Rows that were computed before; gateway.cache has one."""

    def warm_up(self) -> None:
        """Connect before the first request has to wait for it."""
        ...

    def rows(self, market: LiveMarket, codes: Sequence[bytes], days: Days) -> WireRows:
        """The rows of stocks as of day numbers, in order, computed where they are missing.

        Raises:
            StoreError: the market cannot read its database.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class FeatureService:
    """Answers rows from a store that is opened when first needed, and again after it failed."""

    def __init__(
        self,
        opener: Callable[[], Store],
        *,
        cached: RowCache | None = None,
    ) -> None:
        """`cached` is asked first for rows that would have to be computed."""
        self._opener = opener
        self._cached = cached
        self._market: LiveMarket | None = None
        self._spelt: dict[bytes, int | None] = {}

    @staticmethod
    def require_width(width: int) -> None:
        """Refuse a model repository that was made for another feature manifest.

        Raises:
            FeatureError: the configured width is not that of the manifest.
        """
        if width != FEATURE_COUNT:
            raise FeatureError(
                f"config.pbtxt gives `features` {width} columns, the manifest has {FEATURE_COUNT}."
            )

    def warm_up(self) -> None:
        """Compile what is compiled, and bring the market into memory if there is one."""
        golden_rows()
        if self._cached is not None:
            self._cached.warm_up()
        self._fresh_market()

    def rows(self, codes: Sequence[bytes], days: Sequence[bytes]) -> WireRows:
        """One row for each pair of code and ISO date; a row that fails fails alone."""
        market = self._fresh_market()
        out = WireRows.empty(len(codes))
        asked: list[int] = []
        numbers: list[int] = []
        for place, (code, spelling) in enumerate(zip(codes, days, strict=True)):
            number = self._day(spelling)
            ready = market.ready_row(code, number) if market and number is not None else None
            if ready is not None:
                out.values[place], out.as_of[place], out.status[place] = ready
            elif not is_bse_code(code.decode("ascii", errors="replace")):
                out.status[place] = Status.INVALID_CODE.encode()
            elif number is None:
                out.status[place] = Status.INVALID_DATE.encode()
            elif market is None:
                continue
            elif (code, spelling) == _GOLDEN:
                out.put([place], WireRows.of(golden_rows()))
            else:
                asked.append(place)
                numbers.append(number)
        if asked and market is not None:
            wanted = codes if len(asked) == len(codes) else [codes[place] for place in asked]
            try:
                out.put(asked, self._asked_rows(market, wanted, numbers))
            except StoreError:
                self._let_go()
        return out

    def close(self) -> None:
        """Let go of the store, and of the cache."""
        if self._cached is not None:
            self._cached.close()
        self._let_go()

    def _let_go(self) -> None:
        market, self._market = self._market, None
        if market is not None:
            market.close()

    def _fresh_market(self) -> LiveMarket | None:
        """The market up to the newest commit; None without a database."""
        try:
            if self._market is None:
                self._market = LiveMarket(self._opener)
            self._market.refresh()
        except StoreError:
            self._let_go()
        return self._market

    def _asked_rows(
        self, market: LiveMarket, codes: Sequence[bytes], numbers: Sequence[int]
    ) -> WireRows:
        days = np.array(numbers, dtype=np.int32)
        if self._cached is not None:
            return self._cached.rows(market, codes, days)
        return WireRows.of(market.rows(codes, days))

    def _day(self, spelling: bytes) -> int | None:
        """The day number of exactly YYYY-MM-DD; None for anything else."""
        if spelling not in self._spelt:
            if len(self._spelt) >= _MOST_SPELLINGS:
                self._spelt.clear()
            self._spelt[spelling] = _parsed_day(spelling)
        return self._spelt[spelling]


def _parsed_day(text: bytes) -> int | None:
    # fromisoformat alone takes week dates and basic dates too.
    if len(text) != 10 or text[4:5] != b"-" or text[7:8] != b"-":
        return None
    try:
        return day_number(date.fromisoformat(text.decode("ascii")))
    except ValueError:
        return None
