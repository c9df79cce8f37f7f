"""Trading sessions: those of the data, and ahead of them those of the exchange's calendar."""

import csv
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from preprocess.errors import SettingsError
from preprocess.market.calendar import from_day_number
from preprocess.market.columns import MarketColumns

_LIBRARY, _EXCHANGE = "exchange-calendars", "XBOM"
_FIRST = date(2000, 1, 1)
_WORDS = {"open": True, "closed": False}
_SATURDAY = 5
# On a session, one in so many of the listed stocks trades at least.
_FEWEST_TRADED = 10
# No pause of an exchange is longer, but a file may close all days.
_LONGEST_PAUSE = timedelta(days=60)


class Sessions:
    """Whether a day is a session: named days count first, then the data, then the calendar.

    After the end of the calendar, Monday to Friday are sessions.
    """

    def __init__(
        self,
        seen: Collection[date] = (),
        planned: Collection[date] = (),
        named: Mapping[date, bool] | None = None,
    ) -> None:
        """`seen` are the sessions of the data, `planned` those of the calendar, whole from their
        first to their last; `named` are open (True) or closed days that somebody entered.
        """
        self._seen, self._planned = frozenset(seen), frozenset(planned)
        self._named = named or {}
        self._data = min(seen, default=date.max), max(seen, default=date.min)
        self._calendar = min(planned, default=date.max), max(planned, default=date.min)

    def __contains__(self, day: date) -> bool:
        if day in self._named:
            return self._named[day]
        if self._data[0] <= day <= self._data[1]:
            return day in self._seen
        if self._calendar[0] <= day <= self._calendar[1]:
            return day in self._planned
        return day.weekday() < _SATURDAY

    def after(self, day: date) -> date:
        """The first session after a day."""
        one, last = timedelta(days=1), min(day, date.max - _LONGEST_PAUSE) + _LONGEST_PAUSE
        following = day + one
        while following not in self and following < last:
            following += one
        return following

    def up_to(self, day: date) -> list[date]:
        """The sessions of the data on or before a day, ascending."""
        return sorted(each for each in self._seen if each <= day)

    def disagreements(self) -> list[tuple[date, bool]]:
        """Days on which the data have a session (True) and the calendar has none, or the other way
        round (False), ascending. A day that is named is settled.
        """
        first = max(self._data[0], self._calendar[0])
        last = min(self._data[1], self._calendar[1])
        return [
            (day, day in self._seen)
            for day in sorted(self._seen ^ self._planned)
            if first <= day <= last and day not in self._named
        ]


def seen_days(columns: MarketColumns) -> list[date]:
    """The days on which a fair share of the stocks that were listed then traded, ascending."""
    prices = columns.prices
    starts, ends = prices.starts[:-1], prices.starts[1:]
    days, counts = np.unique(prices["day"], return_counts=True)
    traded = ends > starts
    listed = np.searchsorted(np.sort(prices["day"][starts[traded]]), days, side="right")
    return [from_day_number(day) for day in days[counts * _FEWEST_TRADED >= listed].tolist()]


def calendar_release() -> str:
    """The library's release whose sessions `calendar_days` are."""
    return f"{_LIBRARY} {version(_LIBRARY)}"


@cache
def calendar_days() -> tuple[date, ...]:
    """The sessions of the BSE from 2000 to the last year that the library knows."""
    from exchange_calendars import get_calendar  # noqa: PLC0415 - a second, and 80 MB
    from exchange_calendars.exchange_calendar_xbom import XBOMExchangeCalendar  # noqa: PLC0415

    calendar = get_calendar(_EXCHANGE, start=_FIRST, end=XBOMExchangeCalendar.bound_max())
    return tuple(calendar.sessions.date)


def named_days(file: Path | None) -> dict[date, bool]:
    """The days of a file of lines like `2026-11-08,open`, `2026-12-04,closed` or `# a comment`.

    Raises:
        SettingsError: the file cannot be read, or a line is none of these.
    """
    if file is None:
        return {}
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"TEZI_SESSIONS_FILE: {file} cannot be read: {error}") from None
    named: dict[date, bool] = {}
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in next(csv.reader([line.partition("#")[0]]), [])]
        if not any(cells):
            continue
        try:
            day, word = cells
            named[date.fromisoformat(day)] = _WORDS[word.lower()]
        except (ValueError, KeyError):
            raise SettingsError(
                f"TEZI_SESSIONS_FILE: line {number} of {file} is {line[:60]!r}, not like"
                " 2026-11-08,open or 2026-12-04,closed."
            ) from None
    return named
