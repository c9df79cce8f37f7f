"""The days on which stocks announced results, and the sessions that these bear on."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from preprocess.market.sessions import Sessions

# A stock that did not trade for longer than this around its results gives no label: what it did
# weeks later says nothing about them.
LONGEST_PAUSE_DAYS = 10
# Callers may name any day.
_MOST_DAYS = 4_096


class Announcements:
    """Every announcement of the market, as ISO days."""

    def __init__(self, rows: Iterable[tuple[str, str]] = ()) -> None:
        """`rows` are codes and days, one for each quarter, in any order."""
        days: dict[str, set[str]] = {}
        self._codes: dict[str, set[str]] = {}
        for code, day in rows:
            self._codes.setdefault(day, set()).add(code)
            days.setdefault(code, set()).add(day)
        self._days = {code: tuple(sorted(each)) for code, each in days.items()}

    def newest(self, bse_code: str, first: str, last: str) -> str | None:
        """The newest day from `first` to `last` on which a stock announced results."""
        days = self._days.get(bse_code, ())
        index = bisect_right(days, last)
        return days[index - 1] if index and days[index - 1] >= first else None

    def on(self, day: str) -> Sequence[str]:
        """The codes that announced on a day, ascending."""
        return sorted(self._codes.get(day, ()))

    def newest_day(self) -> str | None:
        """The newest day on which any stock announced."""
        return max(self._codes, default=None)


@dataclass(frozen=True, slots=True)
class Event:
    """What a prediction is about: the results that it follows, and the session that it predicts."""

    announced_on: str | None
    next_session: str


class EarningsCalendar:
    """Which results a prediction follows, and which session comes next."""

    def __init__(self, announcements: Announcements, sessions: Sessions) -> None:
        self.announcements = announcements
        self._sessions = sessions
        self._after: dict[str, str] = {}

    def event(self, bse_code: str, as_of: str, day: str) -> Event:
        """The event of a prediction for `day` from prices up to `as_of`, all ISO days.

        The results are the newest that were announced since the last known price, if the label's
        session, the first after them, is still to come: not after `day`, and at most
        LONGEST_PAUSE_DAYS from either. The next session follows all that is known.
        """
        if as_of == day:
            return Event(self.announcements.newest(bse_code, day, day), self._session_after(day))
        reach = timedelta(days=LONGEST_PAUSE_DAYS)
        first = max(as_of, _shifted(day, -reach))
        last = min(day, _shifted(as_of, reach))
        announced = self.announcements.newest(bse_code, first, last)
        # Nothing is known yet of `day` itself, unless results came on it.
        known = max(as_of, announced or "", _shifted(day, -timedelta(days=1)))
        return Event(announced, self._session_after(known))

    def _session_after(self, day: str) -> str:
        following = self._after.get(day)
        if following is None:
            if len(self._after) >= _MOST_DAYS:
                self._after.clear()
            following = self._sessions.after(date.fromisoformat(day)).isoformat()
            self._after[day] = following
        return following


def _shifted(day: str, by: timedelta) -> str:
    try:
        return (date.fromisoformat(day) + by).isoformat()
    except OverflowError:
        return day
