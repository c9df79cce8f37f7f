"""The research library by hand: eight quarters with figures that can be checked in the head."""

import math
from datetime import date

import numpy as np
import pytest

from preprocess.features.research import RESEARCH_FEATURES, research_features
from preprocess.market.values import QuarterResult
from tests.builders import history, prices, result, weekdays

ASKED = date(2024, 8, 14)  # fiscal Q2; the newest results are those of Q1 FY2025
QUARTERS = [(2025, 1), (2024, 4), (2024, 3), (2024, 2), (2024, 1), (2023, 4), (2023, 3), (2023, 2)]

# newest first: revenue grows by 10 % on each year before, PAT doubles, margins are 20, 18, 16, ...
REVENUE = [110.0, 220.0, 330.0, 440.0, 100.0, 200.0, 300.0, 400.0]
PAT = [20.0, 40.0, 60.0, 80.0, 10.0, 20.0, 30.0, 40.0]
MARGIN = [20.0, 18.0, 16.0, 14.0, 12.0, 10.0, 8.0, 6.0]
EPS = [4.0, 2.0, 4.0, 2.0, 1.0, 1.0, 1.0, 1.0]


def results(count: int = 8) -> tuple[QuarterResult, ...]:
    return tuple(
        result(
            year,
            quarter,
            revenue=REVENUE[index],
            pat=PAT[index],
            operating=REVENUE[index] * MARGIN[index] / 100.0,
            eps=EPS[index],
        )
        for index, (year, quarter) in enumerate(QUARTERS[:count])
    )


def found(count: int = 8, day: date = ASKED) -> dict[str, float]:
    return research_features(history("500001", prices([100.0] * 5), results=results(count)), day)


def test_every_figure_of_eight_quarters() -> None:
    values = found()
    expected = {
        "revenue_growth_qoq": -50.0,  # 110 on 220
        "revenue_growth_avg_4q": 10.0,
        "pat_growth_qoq": -50.0,  # 20 on 40
        "pat_growth_avg_4q": 100.0,
        "margin_expansion_qoq": 2.0,
        "avg_margin_4q": 17.0,
        "eps_growth_qoq": 100.0,  # 4 on 2
        "eps_consistency": 1.0,  # 4, 2, 4, 2: mean 3, population deviation 1
        "consecutive_growth_quarters": 4.0,  # the fifth has nothing a year before it
        "is_q1": 0.0,
        "is_q2": 1.0,
        "is_q3": 0.0,
        "is_q4": 0.0,
        "announcement_month": 8.0,
    }
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    assert tuple(values) == RESEARCH_FEATURES


def test_averages_need_all_four_quarters() -> None:
    values = found(7)
    for name in ("revenue_growth_avg_4q", "pat_growth_avg_4q"):
        assert math.isnan(values[name])
    assert values["consecutive_growth_quarters"] == 3.0
    three = found(3)
    assert math.isnan(three["avg_margin_4q"])
    assert math.isnan(three["eps_consistency"])
    assert three["margin_expansion_qoq"] == pytest.approx(2.0)


def test_nothing_known_is_nothing_computed() -> None:
    values = found(0)
    calendar = {"is_q1", "is_q2", "is_q3", "is_q4", "announcement_month"}
    assert all(math.isnan(value) for name, value in values.items() if name not in calendar)


def test_momenta_end_before_the_day() -> None:
    days = weekdays(12)
    close = [100.0, 110.0, 0.5, 0.5, 0.5, 0.5, 121.0, 0.5, 0.5, 0.5, 0.5, 132.0]
    stock = history("500001", prices(close, days=days))
    on_last = research_features(stock, days[-1])  # the rows before it end with 0.5, eleven of them
    assert on_last["pre_momentum_5d"] == pytest.approx(0.0)
    assert on_last["pre_momentum_10d"] == pytest.approx(-99.5)
    after = research_features(stock, date(2024, 6, 1))
    assert after["pre_momentum_5d"] == pytest.approx((132.0 / 121.0 - 1.0) * 100.0)
    assert after["pre_momentum_10d"] == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("day", "quarter"),
    [
        (date(2024, 4, 1), 1),
        (date(2024, 9, 30), 2),
        (date(2024, 12, 31), 3),
        (date(2024, 3, 31), 4),
    ],
)
def test_fiscal_quarters_of_the_day(day: date, quarter: int) -> None:
    values = found(day=day)
    assert [values[f"is_q{number}"] for number in (1, 2, 3, 4)] == np.eye(4)[quarter - 1].tolist()
