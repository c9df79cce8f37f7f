"""The days on which the demo market trades."""

from datetime import date, timedelta

# Month and day of the Indian market's holidays that fall on the same date every year. Those that
# follow the lunar calendar are left out: the demo market keeps none of them.
FIXED_HOLIDAYS = ((1, 26), (4, 14), (5, 1), (8, 15), (10, 2), (12, 25))

SATURDAY, SUNDAY = 5, 6


def is_trading_day(day: date) -> bool:
    """Whether the demo market is open: no weekend, no fixed holiday."""
    return day.weekday() < SATURDAY and (day.month, day.day) not in FIXED_HOLIDAYS


def trading_days(last_day: date, count: int) -> list[date]:
    """The `count` trading days up to `last_day`, ascending; `last_day` itself if it is one."""
    days: list[date] = []
    day = last_day
    while len(days) < count:
        if is_trading_day(day):
            days.append(day)
        day -= timedelta(days=1)
    return days[::-1]
