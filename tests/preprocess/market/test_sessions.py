"""Which days are sessions: entered ones, the data's, the exchange's calendar's."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from preprocess.errors import SettingsError
from preprocess.market.columns import columns_of
from preprocess.market.sessions import Sessions, calendar_days, named_days, seen_days
from tests.builders import history, prices, weekdays

FRIDAY = date(2026, 8, 14)
SATURDAY, MONDAY, TUESDAY = (FRIDAY + timedelta(days=days) for days in (1, 3, 4))


def test_entered_days_go_before_the_data_and_the_data_before_the_calendar() -> None:
    planned = [FRIDAY, MONDAY, TUESDAY]
    assert Sessions(planned=planned).after(FRIDAY) == MONDAY
    # The data end on Tuesday, and had a session on Saturday and none on Monday.
    seen = [FRIDAY, SATURDAY, TUESDAY]
    sessions = Sessions(seen, planned)
    assert (sessions.after(FRIDAY), sessions.after(SATURDAY)) == (SATURDAY, TUESDAY)
    assert sessions.disagreements() == [(SATURDAY, True), (MONDAY, False)]
    named = Sessions(seen, planned, {SATURDAY: False, MONDAY: True})
    assert named.after(FRIDAY) == MONDAY
    assert named.disagreements() == []


def test_after_the_calendar_weekdays_are_sessions_and_there_is_an_end() -> None:
    assert Sessions().after(FRIDAY) == MONDAY
    assert Sessions(planned=[FRIDAY]).after(date(2030, 1, 4)) == date(2030, 1, 7)
    closed = {FRIDAY + timedelta(days=days): False for days in range(400)}
    assert FRIDAY < Sessions(named=closed).after(FRIDAY) < FRIDAY + timedelta(days=61)
    assert Sessions().after(date.max - timedelta(days=61)) < date.max


def test_the_calendar_knows_holidays() -> None:
    sessions = Sessions(planned=calendar_days())
    assert sessions.after(date(2026, 1, 23)) == date(2026, 1, 27)  # Republic Day
    assert date(2024, 1, 20) in sessions  # a Saturday, for tests of the disaster recovery


def test_a_day_of_a_few_stocks_is_no_session() -> None:
    days = weekdays(5)
    stocks = [history(f"{500000 + n}", prices([10.0] * 5, days=days)) for n in range(30)]
    odd = prices([10.0] * 2, days=[days[0], SATURDAY])
    columns = columns_of([*stocks, history("600000", odd)])
    assert seen_days(columns) == days
    assert seen_days(columns_of([])) == []


def test_a_file_names_days(tmp_path: Path) -> None:
    path = tmp_path / "sessions.csv"
    path.write_text("# Muhurat\n2026-11-08, open\n\n2026-12-04,Closed  # a funeral\n")
    assert named_days(path) == {date(2026, 11, 8): True, date(2026, 12, 4): False}
    assert named_days(None) == {}


@pytest.mark.parametrize("line", ["2026-11-08", "8.11.2026,open", "2026-11-08,maybe", "a,b,c"])
def test_a_line_that_names_no_day_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "sessions.csv"
    path.write_text(f"2026-11-07,open\n{line}\n")
    with pytest.raises(SettingsError, match=r"line 2 of .*sessions.csv"):
        named_days(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        named_days(tmp_path / "none.csv")
