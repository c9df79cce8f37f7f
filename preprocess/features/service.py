"""Features for names and dates as they come over the wire, one status a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.calendar import day_number, from_day_number
from preprocess.columns import columns_of
from preprocess.errors import FeatureError, StoreError
from preprocess.features.batch import NO_DAY, STATUSES, batch_rows
from preprocess.features.live import LiveMarket
from preprocess.features.manifest import FEATURE_COUNT
from preprocess.features.row import Status
from preprocess.golden import GOLDEN_CODE, GOLDEN_DATE, golden_history
from preprocess.market import Days, is_bse_code
from preprocess.store import Store

_GOLDEN = (GOLDEN_CODE.encode(), GOLDEN_DATE.isoformat().encode())
_WORDS = np.array([status.encode() for status in STATUSES], dtype=np.object_)
# Spellings of days that are kept with their numbers; requests name few days.
_MOST_SPELLINGS = 4_096


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """`values` float32 [n, 25]; `as_of` and `status` are arrays of n byte strings."""

    values: NDArray[np.float32]
    as_of: NDArray[Any]
    status: NDArray[Any]


class FeatureService:
    """Answers rows from a store that is opened when first needed, and again after it failed."""

    def __init__(self, opener: Callable[[], Store], *, snapshot: Path | None = None) -> None:
        """`snapshot` is where the columnar snapshot lies, if there is one."""
        self._opener = opener
        self._snapshot = snapshot
        self._market: LiveMarket | None = None
        self._spelt: dict[bytes, int | None] = {}
        golden = columns_of([golden_history()])
        day = np.array([day_number(GOLDEN_DATE)], dtype=np.int32)
        self._golden = golden, np.zeros(1, dtype=np.int64), day

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
        batch_rows(*self._golden)
        self._fresh_market()

    def rows(self, codes: Sequence[bytes], days: Sequence[bytes]) -> FeatureBatch:
        """One row for each pair of code and ISO date; a row that fails fails alone."""
        market = self._fresh_market()
        count = len(codes)
        batch = FeatureBatch(
            np.full((count, FEATURE_COUNT), np.nan, dtype=np.float32),
            np.full(count, b"", dtype=np.object_),
            np.full(count, Status.STORE_UNAVAILABLE.encode(), dtype=np.object_),
        )
        asked: list[int] = []
        numbers: list[int] = []
        for place, (code, spelling) in enumerate(zip(codes, days, strict=True)):
            number = self._day(spelling)
            if not is_bse_code(code.decode("ascii", errors="replace")):
                batch.status[place] = Status.INVALID_CODE.encode()
            elif number is None:
                batch.status[place] = Status.INVALID_DATE.encode()
            elif market is None:
                continue
            elif (code, spelling) == _GOLDEN:
                self._answer_golden(batch, place)
            else:
                asked.append(place)
                numbers.append(number)
        if asked and market is not None:
            wanted = codes if len(asked) == count else [codes[place] for place in asked]
            self._look_up(market, batch, asked, wanted, np.array(numbers, dtype=np.int32))
        return batch

    def close(self) -> None:
        """Let go of the store."""
        market, self._market = self._market, None
        if market is not None:
            market.close()

    def _fresh_market(self) -> LiveMarket | None:
        """The market up to the newest commit; None without a database."""
        try:
            if self._market is None:
                self._market = LiveMarket(self._opener, self._snapshot)
            self._market.refresh()
        except StoreError:
            self.close()
        return self._market

    def _look_up(
        self,
        market: LiveMarket,
        batch: FeatureBatch,
        places: list[int],
        codes: Sequence[bytes],
        days: Days,
    ) -> None:
        try:
            rows = market.rows(codes, days)
        except StoreError:
            self.close()
            return
        batch.values[places] = rows.values
        batch.status[places] = _WORDS[rows.status]
        batch.as_of[places] = _spelt_out(rows.as_of)

    def _answer_golden(self, batch: FeatureBatch, place: int) -> None:
        row = batch_rows(*self._golden)
        batch.values[place] = row.values[0]
        batch.status[place] = _WORDS[row.status[0]]
        batch.as_of[place] = _GOLDEN[1]

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


def _spelt_out(as_of: Days) -> NDArray[Any]:
    numbers = as_of.tolist()
    known = {
        number: b"" if number == NO_DAY else from_day_number(number).isoformat().encode()
        for number in set(numbers)
    }
    return np.array([known[number] for number in numbers], dtype=np.object_)
