"""The pattern that is put into the demo market."""

import math

import numpy as np
import pytest

import preprocess.demo.signal
from preprocess.demo.companies import INDUSTRIES
from preprocess.demo.signal import INDUSTRY_TILT, INTERCEPT, Visible, propensity, see

PAPER = INDUSTRIES.index("Paper")  # no tilt
UNREMARKABLE = Visible(PAPER, 0.0, 1.0, 1.0, 0.0)
UNKNOWN = Visible(PAPER, math.nan, math.nan, math.nan, math.nan)


def test_docstring_says_that_it_is_made_up() -> None:
    said = preprocess.demo.signal.__doc__ or ""
    assert "made up" in said
    assert "says nothing about any\nreal market" in said


def test_quantities_by_hand() -> None:
    volumes = np.array([100.0] * 15 + [200.0] * 5 + [500.0])
    closes = np.array([50.0] * 10 + [100.0] * 10 + [110.0])
    seen = see(3, 15.0, -10.0, closes, volumes, traded=True)
    assert seen.industry == 3
    assert seen.pat_growth == pytest.approx(250.0)
    assert seen.volume_spike == pytest.approx(500.0 / 125.0)
    assert seen.volume_trend == pytest.approx(2.0)
    assert seen.momentum == pytest.approx(10.0)


def test_on_a_closed_day_the_last_row_leads_up_to_it() -> None:
    volumes = np.array([900.0] + [100.0] * 15 + [300.0] * 5)
    seen = see(3, 1.0, 2.0, np.arange(1.0, 22.0), volumes, traded=False)
    assert math.isnan(seen.volume_spike)
    assert seen.volume_trend == pytest.approx(3.0)
    assert seen.momentum == pytest.approx((21.0 / 11.0 - 1.0) * 100.0)


def test_what_is_unknown_is_nan() -> None:
    few = np.full(10, 100.0)
    seen = see(3, 1.0, 0.0, few, few, traded=True)
    assert all(
        math.isnan(value)
        for value in (seen.pat_growth, seen.volume_spike, seen.volume_trend, seen.momentum)
    )
    assert math.isnan(see(3, math.nan, 5.0, few, few, traded=True).pat_growth)
    none = np.zeros(30)
    assert math.isnan(see(3, 1.0, 1.0, few, none, traded=True).volume_spike)


def test_unknown_counts_as_unremarkable() -> None:
    base = 1.0 / (1.0 + math.exp(-INTERCEPT))
    assert propensity(UNREMARKABLE) == pytest.approx(base)
    assert propensity(UNKNOWN) == pytest.approx(base)


@pytest.mark.parametrize(
    ("field", "low", "high", "beyond"),
    [(1, -30.0, 60.0, 1e9), (2, 0.5, 3.0, 1e9), (3, 0.5, 3.0, 1e9), (4, -8.0, 8.0, 1e9)],
)
def test_more_of_each_quantity_raises_it_up_to_a_bound(
    field: int, low: float, high: float, beyond: float
) -> None:
    def chance(value: float) -> float:
        quantities = [0.0, 1.0, 1.0, 0.0]
        quantities[field - 1] = value
        return propensity(Visible(PAPER, *quantities))

    assert chance(low) < propensity(UNREMARKABLE) < chance(high) < chance(beyond) < 0.5
    assert chance(beyond) == chance(beyond * 10)


def test_no_volume_at_all_is_the_lower_bound() -> None:
    assert propensity(Visible(PAPER, 0.0, 0.0, 1.0, 0.0)) == propensity(
        Visible(PAPER, 0.0, 1e-9, 1.0, 0.0)
    )


def test_industries_tilt_it() -> None:
    assert INDUSTRY_TILT.keys() < set(INDUSTRIES)
    software, finance = (INDUSTRIES.index(name) for name in ("Software", "Finance"))
    low, base, high = (
        propensity(Visible(industry, 0.0, 1.0, 1.0, 0.0)) for industry in (finance, PAPER, software)
    )
    assert low < base < high
