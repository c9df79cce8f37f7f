"""Financial features: the newest quarterly results known on a day against a year earlier."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from preprocess.market.calendar import FiscalQuarter
from preprocess.market.values import QuarterResult

SURPRISE_PCT = 20.0


@dataclass(frozen=True, slots=True)
class KnownResults:
    """Results known on a day, by quarter label; `newest` is None when nothing is known."""

    by_quarter: dict[FiscalQuarter, QuarterResult]
    newest: FiscalQuarter | None

    @classmethod
    def on(cls, results: Sequence[QuarterResult], day: date) -> "KnownResults":
        """What had been announced on or before `day`; of a quarter's states the last."""
        known = {result.quarter: result for result in results if result.known_on <= day}
        return cls(known, max(known, default=None))

    def back(self, quarters: int) -> QuarterResult | None:
        """The result `quarters` before the newest, by label: a quarter not known is None."""
        if self.newest is None:
            return None
        return self.by_quarter.get(self.newest.shifted(-quarters))


def growth(now: float, before: float) -> float:
    """Change in percent of a figure that is positive by nature; NaN if `before` is not."""
    return (now - before) / before * 100.0 if before > 0.0 else math.nan


def signed_growth(now: float, before: float) -> float:
    """Change in percent of the absolute earlier figure, for profits that may be losses."""
    return (now - before) / abs(before) * 100.0 if before != 0.0 else math.nan


def margin(part: float, revenue: float) -> float:
    """`part` in percent of revenue; NaN if revenue is zero, negative or missing."""
    return part / revenue * 100.0 if revenue > 0.0 else math.nan


def earnings_surprise(revenue_growth: float, pat_growth: float, turned: bool) -> float:
    """1 if a growth is above 20 % or a loss became a profit, else 0; NaN if no growth is known."""
    if math.isnan(revenue_growth) and math.isnan(pat_growth):
        return math.nan
    return float(turned or revenue_growth > SURPRISE_PCT or pat_growth > SURPRISE_PCT)


def financial_features(results: Sequence[QuarterResult], day: date) -> list[float]:
    """Features 14 to 19 of the manifest as of `day`."""
    known = KnownResults.on(results, day)
    now, year_ago = known.back(0), known.back(4)
    if now is None:
        return [math.nan] * 6
    revenue_growth = pat_growth = eps_growth = math.nan
    turned = False
    if year_ago is not None:
        revenue_growth = growth(now.revenue_cr, year_ago.revenue_cr)
        pat_growth = signed_growth(now.pat_cr, year_ago.pat_cr)
        eps_growth = signed_growth(now.eps, year_ago.eps)
        turned = year_ago.pat_cr < 0.0 < now.pat_cr
    return [
        revenue_growth,
        pat_growth,
        margin(now.operating_profit_cr, now.revenue_cr),
        margin(now.pat_cr, now.revenue_cr),
        eps_growth,
        earnings_surprise(revenue_growth, pat_growth, turned),
    ]
