"""Quarterly results of the demo companies, and the days on which they are announced."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from preprocess.calendar import (
    FILING_LIMIT_DAYS,
    FILING_LIMIT_DAYS_Q4,
    FiscalQuarter,
    day_number,
    from_day_number,
)
from preprocess.demo.calendar import SATURDAY, SUNDAY
from preprocess.demo.companies import INDUSTRIES, Companies, Flags
from preprocess.market import Days, Floats, QuarterResult

EARLIEST_ANNOUNCEMENT_DAYS = 15
QUARTERS_BEFORE_FIRST_DAY = 6  # the first announcement that counts has its year-ago quarter
FEWEST_QUARTERS = 10
PROSPECTUS_DAYS = 500  # how far back the results go that a new listing has published

LOSS_MAKER_SHARE = 0.06
ZERO_REVENUE_SHARE = 0.015
MISSING_FIGURE_SHARE = 0.015
UNKNOWN_DATE_SHARE = 0.05
SATURDAY_SHARE = 0.5  # of the announcements that would fall on one; nobody announces on Sundays
TAX_KEEPS = 0.75


@dataclass(frozen=True, slots=True)
class Filings:
    """What all companies report; arrays are [n, quarters].

    Figures are crore rupees, EPS rupees a share on the share count of the announcement's day, NaN
    where missing. `announced` are day numbers; `dated` says whether the day is on record, `filed`
    whether there is such a filing at all by the market's last day.
    """

    quarters: tuple[FiscalQuarter, ...]
    revenue: Floats
    operating_profit: Floats
    pat: Floats
    eps: Floats
    announced: Days
    dated: Flags
    filed: Flags

    def results(self, company: int) -> list[QuarterResult]:
        """The results of one company, ascending by quarter."""
        return [
            QuarterResult(
                quarter=self.quarters[place],
                period_end=self.quarters[place].last_day,
                announced_on=(
                    from_day_number(int(self.announced[company, place]))
                    if self.dated[company, place]
                    else None
                ),
                revenue_cr=float(self.revenue[company, place]),
                pat_cr=float(self.pat[company, place]),
                operating_profit_cr=float(self.operating_profit[company, place]),
                eps=float(self.eps[company, place]),
            )
            for place in np.flatnonzero(self.filed[company]).tolist()
        ]

    def pat_year_ago(self, company: int, place: int) -> float:
        """The profit of the same quarter a year earlier; NaN if it was not filed."""
        known = place >= 4 and self.filed[company, place - 4]
        return float(self.pat[company, place - 4]) if known else float("nan")


def draw_filings(rng: np.random.Generator, companies: Companies, days: list[date]) -> Filings:
    """The filings of `companies` in a market that trades on `days`."""
    quarters = _quarters(days)
    shape = (len(companies), len(quarters))
    revenue, operating_profit, pat = _figures(rng, companies, quarters)
    announced = _announcements(rng, quarters, len(companies))
    numbers = np.array([day_number(day) for day in days], dtype=np.int32)
    eps = _rounded(pat / _shares_on(companies, numbers, announced))
    for figure in (revenue, operating_profit, pat, eps):
        figure[rng.random(shape) < MISSING_FIGURE_SHARE] = np.nan
    return Filings(
        quarters=quarters,
        revenue=revenue,
        operating_profit=operating_profit,
        pat=pat,
        eps=eps,
        announced=announced,
        dated=rng.random(shape) >= UNKNOWN_DATE_SHARE,
        filed=_filed(companies, quarters, numbers, announced, days[-1]),
    )


def _quarters(days: list[date]) -> tuple[FiscalQuarter, ...]:
    running = FiscalQuarter.of(days[-1])
    first = min(
        FiscalQuarter.of(days[0]).shifted(-QUARTERS_BEFORE_FIRST_DAY),
        running.shifted(-FEWEST_QUARTERS),
    )
    quarters = [first]
    while quarters[-1] < running.shifted(-1):
        quarters.append(quarters[-1].shifted(1))
    return tuple(quarters)


def _figures(
    rng: np.random.Generator, companies: Companies, quarters: tuple[FiscalQuarter, ...]
) -> tuple[Floats, Floats, Floats]:
    """Revenue, operating profit and PAT [n, quarters], rounded to lakh rupees."""
    count, length = len(companies), len(quarters)
    seasons = 1.0 + rng.uniform(-0.12, 0.12, (len(INDUSTRIES), 4))
    season = seasons[companies.industry][:, [quarter.quarter - 1 for quarter in quarters]]
    growth = rng.normal(0.025, 0.02, (count, 1)) + rng.normal(0.0, 0.035, (count, length))
    shock = rng.normal(0.0, 0.05, (count, length))
    revenue = companies.revenue_cr[:, None] / 4.0 * season
    revenue = revenue * np.exp(np.cumsum(growth, axis=1) + shock)
    revenue[rng.random(count) < ZERO_REVENUE_SHARE] = 0.0

    typical = rng.uniform(0.04, 0.28, count)
    typical[rng.random(count) < LOSS_MAKER_SHARE] *= -0.4
    margin = typical[:, None] + rng.normal(0.0, 0.018, (count, length))
    operating_profit = revenue * margin
    charges = revenue * rng.uniform(0.01, 0.05, (count, 1))  # depreciation and interest
    # What a company without revenue costs to keep.
    overheads = np.where(revenue == 0.0, rng.uniform(0.05, 0.4, (count, 1)), 0.0)
    before_tax = operating_profit - charges - overheads
    pat = np.where(before_tax > 0.0, before_tax * TAX_KEEPS, before_tax)
    return _rounded(revenue), _rounded(operating_profit - overheads), _rounded(pat)


def _rounded(figures: Floats) -> Floats:
    """Two decimals; adding zero makes -0.0, which a database does not keep, 0.0."""
    rounded: Floats = np.round(figures, 2) + 0.0
    return rounded


def _announcements(
    rng: np.random.Generator, quarters: tuple[FiscalQuarter, ...], count: int
) -> Days:
    """Day numbers [n, quarters]: a company is early or late by habit, and varies a little."""
    limits = np.array(
        [FILING_LIMIT_DAYS_Q4 if q.quarter == 4 else FILING_LIMIT_DAYS for q in quarters]
    )
    habit = rng.beta(3.0, 2.0, (count, 1)) + rng.normal(0.0, 0.12, (count, len(quarters)))
    width = limits - EARLIEST_ANNOUNCEMENT_DAYS
    lag = EARLIEST_ANNOUNCEMENT_DAYS + np.rint(np.clip(habit, 0.0, 1.0) * width).astype(np.int64)
    ends = np.array([day_number(quarter.last_day) for quarter in quarters])
    weekday = (ends + lag + 3) % 7  # day number 0, 1970-01-01, was a Thursday
    to_friday = np.where(weekday == SUNDAY, 2, 1)
    moved = (weekday == SUNDAY) | (
        (weekday == SATURDAY) & (rng.random(lag.shape) >= SATURDAY_SHARE)
    )
    to_monday = np.where(weekday == SUNDAY, 1, 2)
    shift = np.where(lag - to_friday >= EARLIEST_ANNOUNCEMENT_DAYS, -to_friday, to_monday)
    announced: Days = (ends + lag + np.where(moved, shift, 0)).astype(np.int32)
    return announced


def _shares_on(companies: Companies, days: Days, announced: NDArray[np.int32]) -> Floats:
    """Crore shares [n, quarters] on the days of the announcements."""
    grown = np.hstack([np.ones((len(companies), 1)), np.cumprod(companies.ratios, axis=1)])
    place = np.searchsorted(days, announced, side="right")
    shares: Floats = companies.shares_cr[:, None] * np.take_along_axis(grown, place, axis=1)
    return shares


def _filed(
    companies: Companies,
    quarters: tuple[FiscalQuarter, ...],
    days: Days,
    announced: Days,
    last_day: date,
) -> Flags:
    """No filing lies ahead, a suspended company files no more, a new one has a short past."""
    listed = days[companies.rows.argmax(axis=1)]
    starts = np.where(listed > days[0], listed - PROSPECTUS_DAYS, np.iinfo(np.int32).min)
    halted = days[-1 - companies.rows[:, ::-1].argmax(axis=1)]
    ends = np.where(companies.suspended, halted, day_number(last_day))
    period_ends = np.array([day_number(quarter.last_day) for quarter in quarters])
    filed: Flags = (announced <= ends[:, None]) & (period_ends >= starts[:, None])
    return filed
