"""Calendar facts of the Indian market: fiscal quarters, result deadlines, months, day numbers."""

from dataclasses import dataclass
from datetime import MINYEAR, date, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

EXCHANGE_TIME = ZoneInfo("Asia/Kolkata")

_EPOCH = date(1970, 1, 1).toordinal()

# SEBI (LODR) regulation 33: results within 45 days of the quarter's end, 60 for the year's last.
FILING_LIMIT_DAYS = 45
FILING_LIMIT_DAYS_Q4 = 60


def day_number(day: date) -> int:
    """Days since 1970-01-01, the integer form of dates in arrays."""
    return day.toordinal() - _EPOCH


def from_day_number(number: int) -> date:
    """The calendar day of a day number."""
    return date.fromordinal(int(number) + _EPOCH)


def exchange_today(now: datetime) -> date:
    """The calendar day in Mumbai at an aware moment."""
    return now.astimezone(EXCHANGE_TIME).date()


def month_of(day: date) -> str:
    """`YYYY-MM` of a day."""
    return f"{day.year:04d}-{day.month:02d}"


def month_number(month: str) -> int:
    """Months since year 0 of a `YYYY-MM` month, the integer form of months in arrays."""
    return int(month[:4]) * 12 + int(month[5:]) - 1


def first_day_of(month: str) -> date:
    """First calendar day of a `YYYY-MM` month."""
    return date.fromisoformat(f"{month}-01")


def months_between(first: date, last: date) -> list[str]:
    """Every month from that of `first` to that of `last`, both included."""
    start, end = first.year * 12 + first.month - 1, last.year * 12 + last.month - 1
    return [f"{index // 12:04d}-{index % 12 + 1:02d}" for index in range(start, end + 1)]


def years_before(day: date, years: int) -> date:
    """The same day `years` earlier, or the first of all days; 29 February becomes the 28th."""
    if day.year - years < MINYEAR:
        return date.min
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


@dataclass(frozen=True, slots=True, order=True)
class FiscalQuarter:
    """An Indian fiscal quarter; Q1 is April to June, fiscal year 2026 ends in March 2026."""

    fiscal_year: int
    quarter: int

    def __post_init__(self) -> None:
        if self.quarter not in (1, 2, 3, 4):
            raise ValueError(f"a fiscal quarter is 1 to 4, got {self.quarter}")

    @classmethod
    def of(cls, day: date) -> Self:
        """The fiscal quarter that `day` lies in."""
        index = (day.month - 4) % 12 // 3 + 1
        return cls(day.year + (day.month >= 4), index)

    @property
    def last_day(self) -> date:
        """The quarter's last calendar day, the period end of its results."""
        month, day = {1: (6, 30), 2: (9, 30), 3: (12, 31), 4: (3, 31)}[self.quarter]
        return date(self.fiscal_year - (self.quarter != 4), month, day)

    def shifted(self, quarters: int) -> Self:
        """The quarter that lies `quarters` later (earlier when negative)."""
        index = self.fiscal_year * 4 + self.quarter - 1 + quarters
        return type(self)(index // 4, index % 4 + 1)

    def __str__(self) -> str:
        return f"Q{self.quarter} FY{self.fiscal_year}"


def announcement_limit(quarter: FiscalQuarter, period_end: date) -> date:
    """The day by which results count as known when their announcement date is not recorded."""
    days = FILING_LIMIT_DAYS_Q4 if quarter.quarter == 4 else FILING_LIMIT_DAYS
    return period_end + timedelta(days=days)
