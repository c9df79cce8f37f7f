"""Announcement samples: what was known of a stock on the day of its results, and the outcome."""

from dataclasses import dataclass
from datetime import date

from preprocess.market import Mark


@dataclass(frozen=True, slots=True)
class AnnouncementSample:
    """One labelled announcement.

    Known on `earnings_date`: the newest bar dated on or before it (as traded: rupees, shares) and
    the newest quarter whose results were known by it (crore rupees, EPS in rupees); None where
    there is none. Known only later: `next_day_date`, `price_change_pct`, `label`.
    """

    bse_code: str
    earnings_date: date
    price_date: date | None
    close: float | None
    volume: int | None
    fiscal_year: int | None
    quarter: str | None
    known_on: date | None
    revenue_cr: float | None
    pat_cr: float | None
    operating_profit_cr: float | None
    eps: float | None
    next_day_date: date
    price_change_pct: float
    label: int


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples as of one commit, ascending by code and announcement."""

    mark: Mark
    rows: tuple[AnnouncementSample, ...]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh of the samples did: stocks looked at, their rows now, the mark it holds."""

    stocks: int
    rows: int
    mark: Mark
    whole: bool
