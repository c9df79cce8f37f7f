"""Small markets for tests, built by hand."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from preprocess.market.calendar import FiscalQuarter, day_number
from preprocess.market.values import Bar, Prices, QuarterResult, StockHistory

MONDAY = date(2024, 1, 1)


def weekdays(count: int, first: date = MONDAY) -> list[date]:
    """`count` days from `first` on, weekends left out."""
    day = first
    days: list[date] = []
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day += timedelta(days=1)
    return days


def prices(
    close: Sequence[float],
    *,
    volume: Sequence[float] | None = None,
    opening: Sequence[float] | None = None,
    days: Sequence[date] | None = None,
    adjusted: bool = False,
) -> Prices:
    """A series with the given closes; open = close and volume = 1000 unless given."""
    closes = np.array(close, dtype=np.float64)
    opens = closes if opening is None else np.array(opening, dtype=np.float64)
    return Prices(
        days=np.array([day_number(day) for day in days or weekdays(len(closes))], dtype=np.int32),
        open=opens,
        high=np.maximum(opens, closes),
        low=np.minimum(opens, closes),
        close=closes,
        volume=np.array([1000.0] * len(closes) if volume is None else volume, dtype=np.float64),
        adjusted=np.full(len(closes), adjusted),
    )


def result(
    fiscal_year: int,
    quarter: int,
    *,
    revenue: float = 100.0,
    pat: float = 10.0,
    operating: float = 15.0,
    eps: float = 1.0,
    announced: date | str | None = "30 days later",
) -> QuarterResult:
    """One quarter's results, announced 30 days after its end unless said otherwise."""
    label = FiscalQuarter(fiscal_year, quarter)
    end = label.last_day
    known = end + timedelta(days=30) if isinstance(announced, str) else announced
    return QuarterResult(label, end, known, revenue, pat, operating, eps)


def history(code: str, series: Prices, **parts: object) -> StockHistory:
    """A stock's history with what is given and nothing else."""
    return StockHistory(code, series, **parts)  # type: ignore[arg-type]  # a test's own keywords


def bars(code: str, closes: Sequence[float], first: date = MONDAY) -> list[Bar]:
    """Bars with open = high = low = close."""
    days = weekdays(len(closes), first)
    return [Bar(code, day, c, c, c, c, 1000) for day, c in zip(days, closes, strict=True)]
