"""The days of the demo market."""

from datetime import date, timedelta

from preprocess.demo.calendar import is_trading_day, trading_days


def test_weekends_and_fixed_holidays_are_closed() -> None:
    assert not is_trading_day(date(2026, 8, 15))  # a Saturday and Independence Day
    assert not is_trading_day(date(2026, 8, 16))  # a Sunday
    assert not is_trading_day(date(2025, 8, 15))  # a Friday, Independence Day
    assert is_trading_day(date(2026, 8, 14))


def test_every_fixed_holiday_is_closed() -> None:
    closed = {
        (day.month, day.day)
        for day in (date(2025, 1, 1) + timedelta(days=number) for number in range(365))
        if day.weekday() < 5 and not is_trading_day(day)
    }
    # In 2025 the 26th of January, Republic Day, is a Sunday.
    assert closed == {(4, 14), (5, 1), (8, 15), (10, 2), (12, 25)}
    assert not is_trading_day(date(2026, 1, 26))


def test_trading_days_end_on_the_last_open_day() -> None:
    assert trading_days(date(2026, 1, 27), 3) == [
        date(2026, 1, 22),
        date(2026, 1, 23),
        date(2026, 1, 27),  # the 26th is Republic Day
    ]
    assert trading_days(date(2026, 8, 16), 1) == [date(2026, 8, 14)]


def test_two_years_hold_about_500_days() -> None:
    days = trading_days(date(2026, 8, 14), 500)
    assert len(set(days)) == 500
    assert days == sorted(days)
    assert 23 * 30 < (days[-1] - days[0]).days < 25 * 30
