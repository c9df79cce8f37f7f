"""The wider feature library, for research and training experiments. None of it is served."""

import math
from collections.abc import Callable
from datetime import date

import numpy as np

from preprocess.features.adjustment import adjusted, since_demerger
from preprocess.features.financial import KnownResults, growth, margin, signed_growth
from preprocess.market.calendar import FiscalQuarter, day_number
from preprocess.market.values import Floats, QuarterResult, StockHistory

RESEARCH_FEATURES = (
    "revenue_growth_qoq",
    "revenue_growth_avg_4q",
    "pat_growth_qoq",
    "pat_growth_avg_4q",
    "margin_expansion_qoq",
    "avg_margin_4q",
    "eps_growth_qoq",
    "eps_consistency",
    "consecutive_growth_quarters",
    "pre_momentum_5d",
    "pre_momentum_10d",
    "is_q1",
    "is_q2",
    "is_q3",
    "is_q4",
    "announcement_month",
)

_Figure = Callable[[QuarterResult], float]
_Growth = Callable[[float, float], float]


def research_features(history: StockHistory, day: date) -> dict[str, float]:
    """The research features of `history` as of `day`, by name; NaN where missing.

    Growths and margins are percent (`margin_expansion_qoq`: percentage points). The averages
    over four quarters need all four; `eps_consistency` is the population standard deviation of
    the four newest EPS in rupees; `consecutive_growth_quarters` counts, from the newest quarter
    back, the quarters whose revenue grew year on year; momenta end on the last row before `day`.
    """
    known = KnownResults.on(history.results, day)
    before = history.prices.until(day)
    before = since_demerger(adjusted(before, history.actions, day), history.actions, day)
    if len(before) and int(before.days[-1]) == day_number(day):
        before = before[:-1]
    margins = [_of(known, back, _operating_margin) for back in range(4)]
    quarter = FiscalQuarter.of(day).quarter
    values = (
        _change(known, 0, 1, _revenue, growth),
        _mean([_change(known, back, 4, _revenue, growth) for back in range(4)]),
        _change(known, 0, 1, _pat, signed_growth),
        _mean([_change(known, back, 4, _pat, signed_growth) for back in range(4)]),
        margins[0] - margins[1],
        _mean(margins),
        _change(known, 0, 1, _eps, signed_growth),
        float(np.std([_of(known, back, _eps) for back in range(4)])),
        _growth_run(known),
        _momentum(before.close, 5),
        _momentum(before.close, 10),
        *(float(quarter == number) for number in (1, 2, 3, 4)),
        float(day.month),
    )
    return dict(zip(RESEARCH_FEATURES, values, strict=True))


def _momentum(close: Floats, rows: int) -> float:
    if len(close) <= rows:
        return math.nan
    return (float(close[-1]) / float(close[-1 - rows]) - 1.0) * 100.0


def _revenue(result: QuarterResult) -> float:
    return result.revenue_cr


def _pat(result: QuarterResult) -> float:
    return result.pat_cr


def _eps(result: QuarterResult) -> float:
    return result.eps


def _operating_margin(result: QuarterResult) -> float:
    return margin(result.operating_profit_cr, result.revenue_cr)


def _of(known: KnownResults, back: int, figure: _Figure) -> float:
    result = known.back(back)
    return math.nan if result is None else figure(result)


def _change(known: KnownResults, back: int, over: int, figure: _Figure, change: _Growth) -> float:
    return change(_of(known, back, figure), _of(known, back + over, figure))


def _mean(figures: list[float]) -> float:
    return math.fsum(figures) / len(figures)


def _growth_run(known: KnownResults) -> float:
    if known.newest is None:
        return math.nan
    run = 0
    while _change(known, run, 4, _revenue, growth) > 0.0:
        run += 1
    return float(run)
