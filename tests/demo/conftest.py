"""Demo markets of several sizes, each made once."""

from datetime import date

import pytest

from preprocess.demo.market import DemoMarket, draw_market

LAST_DAY = date(2026, 8, 14)


@pytest.fixture(scope="session")
def small() -> DemoMarket:
    """60 stocks, 200 trading days."""
    return draw_market(last_day=LAST_DAY, stocks=60, trading_days=200)


@pytest.fixture(scope="session")
def full() -> DemoMarket:
    """The market that `tezi demo` makes."""
    return draw_market(last_day=LAST_DAY)
