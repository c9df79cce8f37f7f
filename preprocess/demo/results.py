"""Quarterly results of the demo companies, and the days on which they are announced."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from preprocess.demo.companies import INDUSTRIES, Companies, Flags
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
PROSPECTUS_DAYS = 500  # how far back the published results of a new listing go
MISSING_SHARE, UNKNOWN_DATE_SHARE, LOSS_MAKER_SHARE = 0.015, 0.05, 0.06


@dataclass(frozen=True, slots=True)
class Filings:
    """What all companies report; arrays are [n, quarters].

    Figures are crore rupees, EPS rupees a share on the share count of the announcement's day, NaN
    where missing. `announced` are day numbers; `dated` says whether the day is recorded, `filed`
    whether the filing exists by the market's last day.
    """

    quarters: tuple[FiscalQuarter, ...]
    revenue: Floats
    operating_profit: Floats
    pat: Floats
    eps: Floats
    announced: Days
    dated: Flags
    filed: Flags

    @property
    def pat_growth(self) -> Floats:
        """Growth of profit over a year, as a fraction; NaN where unknown."""
        growth = np.full(self.pat.shape, np.nan)
        before = self.pat[:, :-4]
        np.divide(self.pat[:, 4:] - before, np.abs(before), out=growth[:, 4:], where=before != 0.0)
        return growth

    def results(self, company: int) -> list[QuarterResult]:
        """The results of one company, ascending by quarter."""
        return [
            QuarterResult(
                quarter=self.quarters[number],
                period_end=self.quarters[number].last_day,
                announced_on=(
                    from_day_number(int(self.announced[company, number]))
                    if self.dated[company, number]
                    else None
                ),
                revenue_cr=float(self.revenue[company, number]),
                pat_cr=float(self.pat[company, number]),
                operating_profit_cr=float(self.operating_profit[company, number]),
                eps=float(self.eps[company, number]),
            )
            for number in np.flatnonzero(self.filed[company]).tolist()
        ]


def draw_filings(rng: np.random.Generator, companies: Companies, days: list[date]) -> Filings:
    """The filings of `companies` in a market that trades on `days`."""
    first = FiscalQuarter.of(days[0]).shifted(-QUARTERS_BEFORE_FIRST_DAY)
    quarters = [first]
    while quarters[-1] < FiscalQuarter.of(days[-1]).shifted(-1):
        quarters.append(quarters[-1].shifted(1))
    numbers = np.array([day_number(day) for day in days], dtype=np.int32)
    ends = np.array([day_number(quarter.last_day) for quarter in quarters], dtype=np.int32)
    shape = (len(companies), len(quarters))

    limits = [FILING_LIMIT_DAYS_Q4 if q.quarter == 4 else FILING_LIMIT_DAYS for q in quarters]
    # Each company is usually early or usually late, and varies a little; none announces on Sunday.
    habit = (rng.beta(3.0, 2.0, (shape[0], 1)) + rng.normal(0.0, 0.12, shape)).clip(0.0, 1.0)
    lag = EARLIEST_ANNOUNCEMENT_DAYS + habit * (np.array(limits) - EARLIEST_ANNOUNCEMENT_DAYS)
    announced = (ends + np.rint(lag)).astype(np.int32)
    announced -= ((announced + 3) % 7 == 6).astype(np.int32)  # 1970-01-01 was a Thursday

    # A suspended company files nothing, a new one has a short past, and no filing is in the future.
    listed = numbers[companies.rows.argmax(axis=1)]
    starts = np.where(listed > numbers[0], listed - PROSPECTUS_DAYS, np.iinfo(np.int32).min)
    halted = numbers[-1 - companies.rows[:, ::-1].argmax(axis=1)]
    filed = (announced <= halted[:, None]) & (ends >= starts[:, None])

    revenue, operating_profit, pat = _figures(rng, companies, quarters)
    grown = np.cumprod(companies.ratios, axis=1)
    on_day = np.searchsorted(numbers, announced, side="right") - 1
    shares = companies.shares_cr[:, None] * np.take_along_axis(grown, on_day.clip(0), axis=1)
    shares = np.where(on_day < 0, companies.shares_cr[:, None], shares)
    return Filings(
        quarters=tuple(quarters),
        revenue=_published(rng, revenue),
        operating_profit=_published(rng, operating_profit),
        pat=_published(rng, pat),
        eps=_published(rng, pat / shares),
        announced=announced,
        dated=rng.random(shape) >= UNKNOWN_DATE_SHARE,
        filed=filed,
    )


def _figures(
    rng: np.random.Generator, companies: Companies, quarters: list[FiscalQuarter]
) -> tuple[Floats, Floats, Floats]:
    """Revenue, operating profit and PAT [n, quarters]."""
    count, length = len(companies), len(quarters)
    seasons = 1.0 + rng.uniform(-0.12, 0.12, (len(INDUSTRIES), 4))
    season = seasons[companies.industry][:, [quarter.quarter - 1 for quarter in quarters]]
    growth = rng.normal(0.025, 0.02, (count, 1)) + rng.normal(0.0, 0.05, (count, length))
    revenue = companies.revenue_cr[:, None] / 4.0 * season * np.exp(np.cumsum(growth, axis=1))
    margin = rng.uniform(0.04, 0.28, (count, 1))
    margin[rng.random(count) < LOSS_MAKER_SHARE] *= -0.4
    operating_profit = revenue * (margin + rng.normal(0.0, 0.018, (count, length)))
    before_tax = operating_profit - revenue * rng.uniform(0.01, 0.05, (count, 1))
    return revenue, operating_profit, np.where(before_tax > 0.0, 0.75 * before_tax, before_tax)


def _published(rng: np.random.Generator, figures: Floats) -> Floats:
    """Two decimals, some missing; adding zero makes -0.0, which a database does not keep, 0.0."""
    missing = rng.random(figures.shape) < MISSING_SHARE
    published: Floats = np.where(missing, np.nan, np.round(figures, 2) + 0.0)
    return published
