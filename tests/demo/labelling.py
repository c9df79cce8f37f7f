"""The label's rule of the specification, worked out in plain Python for one announcement."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date

from preprocess.demo.market import DemoMarket

LONGEST_PAUSE_DAYS = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """One announcement with its outcome; `company` and `place` number it in the market."""

    company: int
    place: int
    announced: date
    next_day: date
    propensity: float
    label: int


def samples(market: DemoMarket) -> list[Sample]:
    """Every announcement with a recorded date, a row before it and a row soon after it."""
    return [sample for company in range(len(market)) for sample in _of_company(market, company)]


def _of_company(market: DemoMarket, company: int) -> list[Sample]:
    bars = market.bars(company)
    days = [bar.day for bar in bars]
    found = []
    for place, result in zip(
        market.filings.filed[company].nonzero()[0].tolist(),
        market.filings.results(company),
        strict=True,
    ):
        day = result.announced_on
        following = 0 if day is None else bisect_right(days, day)
        if day is None or following in (0, len(bars)):
            continue
        base, after = bars[following - 1], bars[following]
        if max((after.day - day).days, (day - base.day).days) > LONGEST_PAUSE_DAYS:
            continue
        close = base.close
        for action in market.actions(company):
            if base.day < action.ex_date <= after.day and action.ratio is not None:
                close /= action.ratio
        label = int(round((after.close / close - 1.0) * 100.0, 9) >= 5.0)
        chance = float(market.played.propensity[company, place])
        found.append(Sample(company, place, day, after.day, chance, label))
    return found
