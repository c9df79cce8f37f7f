"""Quarterly results of the demo companies, and the days on which they are announced."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from preprocess.demo.companies import Companies, Flags
from preprocess.market.calendar import (
    FILING_LIMIT_DAYS,
    FILING_LIMIT_DAYS_Q4,
    FiscalQuarter,
    day_number,
    from_day_number,
)
from preprocess.market.values import Days, Floats, QuarterResult

EARLIEST_ANNOUNCEMENT_DAYS = 15
QUARTERS_BEFORE_FIRST_DAY = 6  # the first announcement that counts has its year-ago quarter
MISSING_SHARE, UNKNOWN_DATE_SHARE, LOSS_MAKER_SHARE = 0.015, 0.05, 0.06


@dataclass(frozen=True, slots=True)
class Filings:
    """What all companies report; arrays are [n, quarters].

    `figures` [4, n, quarters] are revenue, PAT and operating profit in crore rupees, and EPS in
    rupees a share on the share count of the announcement's day, NaN where missing. `announced` are
    day numbers; `dated` says whether the day is recorded, `filed` whether the filing exists by the
    market's last day.
    """

    quarters: tuple[FiscalQuarter, ...]
    figures: Floats
    announced: Days
    dated: Flags
    filed: Flags

    @property
    def pat_growth(self) -> Floats:
        """Growth of profit over a year, as a fraction; NaN where unknown."""
        pat = self.figures[1]
        growth = np.full(pat.shape, np.nan)
        before = pat[:, :-4]
        np.divide(pat[:, 4:] - before, np.abs(before), out=growth[:, 4:], where=before != 0.0)
        return growth

    def results(self, company: int) -> list[QuarterResult]:
        """The results of one company, ascending by quarter."""
        return [
            QuarterResult(
                self.quarters[number],
                self.quarters[number].last_day,
                from_day_number(int(self.announced[company, number]))
                if self.dated[company, number]
                else None,
                *self.figures[:, company, number].tolist(),
            )
            for number in np.flatnonzero(self.filed[company]).tolist()
        ]


def draw_filings(rng: np.random.Generator, companies: Companies, days: list[date]) -> Filings:
    """The filings of `companies` in a market that trades on `days`."""
    quarters = [FiscalQuarter.of(days[0]).shifted(-QUARTERS_BEFORE_FIRST_DAY)]
    while quarters[-1] < FiscalQuarter.of(days[-1]).shifted(-1):
        quarters.append(quarters[-1].shifted(1))
    numbers = np.array([day_number(day) for day in days], dtype=np.int32)
    ends = np.array([day_number(quarter.last_day) for quarter in quarters], dtype=np.int32)
    limits = [FILING_LIMIT_DAYS_Q4 if q.quarter == 4 else FILING_LIMIT_DAYS for q in quarters]
    shape = (len(companies), len(quarters))
    announced = ends + rng.integers(
        EARLIEST_ANNOUNCEMENT_DAYS, np.array(limits) + 1, shape, dtype=np.int32
    )
    # A suspended company files nothing, and no filing is in the future.
    last_traded = numbers[-1 - companies.rows[:, ::-1].argmax(axis=1)]

    growth = rng.normal(0.025, 0.02, (shape[0], 1)) + rng.normal(0.0, 0.05, shape)
    first_revenue = (companies.price * companies.shares_cr / 8.0)[:, None]
    revenue = first_revenue * np.exp(np.cumsum(growth, axis=1))
    margin = rng.uniform(0.04, 0.28, (shape[0], 1))
    margin[rng.random(shape[0]) < LOSS_MAKER_SHARE] *= -0.4
    operating_profit = revenue * (margin + rng.normal(0.0, 0.018, shape))
    before_tax = operating_profit - revenue * rng.uniform(0.01, 0.05, (shape[0], 1))
    pat = np.where(before_tax > 0.0, 0.75 * before_tax, before_tax)
    grown = companies.shares_cr[:, None] * np.cumprod(companies.ratios, axis=1)
    on_day = (np.searchsorted(numbers, announced, side="right") - 1).clip(0)
    eps = pat / np.take_along_axis(grown, on_day, axis=1)

    # Adding zero makes -0.0, which a database does not keep, 0.0.
    figures = np.round([revenue, pat, operating_profit, eps], 2) + 0.0
    figures[rng.random(figures.shape) < MISSING_SHARE] = np.nan
    return Filings(
        quarters=tuple(quarters),
        figures=figures,
        announced=announced,
        dated=rng.random(shape) >= UNKNOWN_DATE_SHARE,
        filed=announced <= last_traded[:, None],
    )
