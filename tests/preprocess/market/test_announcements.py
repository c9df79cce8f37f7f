"""Which results a prediction follows, and which session it is about."""

from bisect import bisect_right
from datetime import date, timedelta

import pytest

from preprocess.market.announcements import Announcements, EarningsCalendar, Event
from preprocess.market.calendar import day_number, from_day_number
from preprocess.market.sessions import Sessions
from preprocess.store.sessions import read_sessions
from preprocess.store.sqlite.store import SQLiteStore

FRIDAY, SATURDAY, SUNDAY, MONDAY, TUESDAY = (f"2026-08-{day}" for day in range(14, 19))


@pytest.mark.parametrize(
    ("announced", "as_of", "day", "event"),
    [
        (FRIDAY, FRIDAY, FRIDAY, Event(FRIDAY, MONDAY)),
        (FRIDAY, FRIDAY, SUNDAY, Event(FRIDAY, MONDAY)),
        (SATURDAY, FRIDAY, SATURDAY, Event(SATURDAY, MONDAY)),
        (SATURDAY, FRIDAY, FRIDAY, Event(None, MONDAY)),  # not known yet
        # Monday's prices are not in yet, and it is not over.
        (FRIDAY, FRIDAY, MONDAY, Event(FRIDAY, MONDAY)),
        (MONDAY, FRIDAY, MONDAY, Event(MONDAY, TUESDAY)),
        (FRIDAY, MONDAY, MONDAY, Event(None, TUESDAY)),  # the session after it is over
        ("2026-08-13", FRIDAY, FRIDAY, Event(None, MONDAY)),
        # A stock that has not traded for long: its next session says nothing of its results.
        (FRIDAY, "2026-08-01", FRIDAY, Event(None, FRIDAY)),
        (FRIDAY, FRIDAY, "2026-08-25", Event(None, "2026-08-25")),
    ],
)
def test_results_count_until_the_session_after_them(
    announced: str, as_of: str, day: str, event: Event
) -> None:
    calendar = EarningsCalendar(Announcements([("500325", announced)]), Sessions())
    assert calendar.event("500325", as_of, day) == event
    assert calendar.event("500326", as_of, day).announced_on is None


def test_the_newest_of_several_counts() -> None:
    known = Announcements([("500325", FRIDAY), ("500325", SATURDAY), ("500001", SATURDAY)])
    calendar = EarningsCalendar(known, Sessions())
    assert calendar.event("500325", FRIDAY, SUNDAY).announced_on == SATURDAY
    assert calendar.event("500325", FRIDAY, FRIDAY).announced_on == FRIDAY
    assert (known.on(SATURDAY), known.on(SUNDAY)) == (["500001", "500325"], [])
    assert (known.newest_day(), Announcements().newest_day()) == (SATURDAY, None)


def test_the_first_and_the_last_of_all_days_are_answered() -> None:
    calendar = EarningsCalendar(Announcements(), Sessions())
    first, last = date.min.isoformat(), date.max.isoformat()
    assert calendar.event("500325", first, first).next_session == "0001-01-02"
    assert calendar.event("500325", first, last).announced_on is None


@pytest.mark.market_data
def test_of_the_real_market_predictions_and_labels_speak_of_the_same(
    real_store: SQLiteStore,
) -> None:
    """As of each announcement the next session is the label's, and from then on it is over."""
    sessions, known = read_sessions(real_store, {}), real_store.announcements()
    calendar = EarningsCalendar(known, sessions)
    labels = same = 0
    for history in real_store.histories():
        code, days = history.bse_code, history.prices.days.tolist()

        def newest_price(day: date, days: list[int] = days) -> str:
            return from_day_number(days[bisect_right(days, day_number(day)) - 1]).isoformat()

        for label in history.labels:
            announced, following = label.earnings_date, label.next_day_date
            event = calendar.event(code, newest_price(announced), announced.isoformat())
            assert event.announced_on == announced.isoformat()
            labels += 1
            same += event.next_session == following.isoformat()
            over = calendar.event(code, following.isoformat(), following.isoformat())
            assert over.announced_on != announced.isoformat()
            eve = announced - timedelta(days=1)
            before = calendar.event(code, newest_price(eve), eve.isoformat())
            assert (before.announced_on or "") < announced.isoformat()
    assert labels > 7_000
    assert same / labels > 0.98  # the others did not trade on the session after
    # Muhurat trading, tests of the disaster recovery on Saturdays, the budget on a Sunday.
    special = ["2023-11-12", "2024-03-02", "2024-05-18", "2024-11-01", "2025-10-21", "2026-02-01"]
    assert sessions.disagreements() == [(date.fromisoformat(day), True) for day in special]
