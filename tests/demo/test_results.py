"""The demo companies' results: consistent, dated, and with the holes that real ones have."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from preprocess.calendar import FiscalQuarter, day_number
from preprocess.demo.market import DemoMarket, draw_market
from preprocess.market import QuarterResult
from tests.demo.conftest import LAST_DAY


@pytest.fixture(scope="module")
def results(full: DemoMarket) -> list[QuarterResult]:
    return [row for company in range(len(full)) for row in full.filings.results(company)]


def test_announced_15_to_45_days_after_the_end_and_60_for_q4(results: list[QuarterResult]) -> None:
    lags: dict[bool, set[int]] = {True: set(), False: set()}
    for row in results:
        assert row.period_end == row.quarter.last_day
        if row.announced_on is not None:
            lags[row.quarter.quarter == 4].add((row.announced_on - row.period_end).days)
    assert (min(lags[False]), max(lags[False])) == (15, 45)
    assert min(lags[True]) >= 15
    assert 55 <= max(lags[True]) <= 60


def test_some_announce_on_saturdays_and_none_on_sundays(results: list[QuarterResult]) -> None:
    weekdays = [row.announced_on.weekday() for row in results if row.announced_on]
    assert 6 not in weekdays
    assert 0.02 < weekdays.count(5) / len(weekdays) < 0.15


def test_nothing_is_announced_after_the_last_day(full: DemoMarket) -> None:
    filings, last = full.filings, day_number(full.days[-1])
    assert (filings.announced[filings.filed] <= last).all()
    assert (filings.announced[filings.filed] > last - 15).any()


def test_suspended_companies_file_no_more(full: DemoMarket) -> None:
    for company in np.flatnonzero(full.companies.suspended).tolist():
        last_row = full.bars(company)[-1].day
        announced = full.filings.announced[company][full.filings.filed[company]]
        assert announced.max() <= day_number(last_row)


def test_quarters_reach_far_enough_back_for_growth(small: DemoMarket, full: DemoMarket) -> None:
    shortest = draw_market(last_day=LAST_DAY, stocks=20, trading_days=60)
    for market in (shortest, small, full):
        quarters = market.filings.quarters
        assert quarters[-1] == FiscalQuarter(2027, 1)
        assert all(b == a.shifted(1) for a, b in pairwise(quarters))
        always = market.companies.rows[:, 0] & ~market.companies.suspended
        assert (market.filings.filed[always].sum(axis=1) >= 9).all()
        heard = market.filings.announced >= day_number(market.days[0])
        assert not heard[always][:, :4].any()  # whatever is announced has its year-ago quarter


def test_new_listings_have_a_short_past(full: DemoMarket) -> None:
    for company in np.flatnonzero(~full.companies.rows[:, 0]).tolist():
        listed = full.bars(company)[0].day
        ends = [row.period_end for row in full.filings.results(company)]
        assert listed - timedelta(days=500) <= min(ends) < listed


def test_figures_are_consistent(full: DemoMarket) -> None:
    filings = full.filings
    with np.errstate(invalid="ignore"):
        assert not (filings.revenue < 0.0).any()
        assert not (filings.pat > np.maximum(filings.operating_profit, 0.0)).any()
        margins = filings.operating_profit / np.where(
            filings.revenue > 5.0, filings.revenue, np.nan
        )
    assert np.nanmax(margins) < 0.45
    assert np.nanmin(margins) > -0.35
    # A company's own margin varies less than companies do.
    selling = margins[np.isfinite(margins).sum(axis=1) > 8]
    assert np.median(np.nanstd(selling, axis=1)) < 0.03 < np.nanmean(selling, axis=1).std()


def test_shares_behind_eps_follow_splits(full: DemoMarket) -> None:
    companies, filings = full.companies, full.filings
    checked = 0
    for company, events in enumerate(companies.events):
        for place in np.flatnonzero(filings.filed[company] & (filings.pat[company] > 50.0)):
            eps = filings.eps[company, place]
            announced = filings.announced[company, place]
            shares = companies.shares_cr[company]
            for event in events:
                shares *= event.ratio if day_number(full.days[event.place]) <= announced else 1.0
            if np.isfinite(eps):
                assert abs(eps - filings.pat[company, place] / shares) <= 0.00501
                checked += bool(events) and shares > companies.shares_cr[company]
    assert checked > 30


def test_holes_and_odd_companies(full: DemoMarket, results: list[QuarterResult]) -> None:
    filings = full.filings
    undated = sum(row.announced_on is None for row in results) / len(results)
    assert 0.03 < undated < 0.07
    for figure in (filings.revenue, filings.operating_profit, filings.pat, filings.eps):
        assert 0.005 < np.isnan(figure).mean() < 0.03
    # A hole is one figure's, not the whole filing's.
    assert (np.isnan(filings.revenue) & np.isfinite(filings.pat)).any()
    assert 1 <= (np.nan_to_num(filings.revenue).max(axis=1) == 0.0).sum() <= 20
    losing = np.nanmean(filings.pat, axis=1) < 0.0
    assert 0.02 < losing.mean() < 0.15
    assert ((filings.pat[:, 4:] > 0.0) & (filings.pat[:, :-4] < 0.0)).any()


def test_revenue_grows_and_has_seasons(full: DemoMarket) -> None:
    revenue = np.where(full.filings.revenue > 0.0, full.filings.revenue, np.nan)
    yearly = np.log(revenue[:, 4:] / revenue[:, :-4])
    assert 0.05 < np.nanmedian(yearly) < 0.15
    quarterly = np.diff(np.log(revenue), axis=1)
    # In one industry the same quarter is strong every year.
    steel = quarterly[full.companies.industry == full.companies.industry[0]]
    means = np.nanmean(steel, axis=0)
    assert np.corrcoef(means[4:], means[:-4])[0, 1] > 0.6


def test_a_missing_year_ago_filing_is_unknown(full: DemoMarket) -> None:
    new = int(np.flatnonzero(~full.companies.rows[:, 0])[0])
    first = int(np.flatnonzero(full.filings.filed[new])[0])
    assert np.isnan(full.filings.pat_year_ago(new, first))
    assert np.isnan(full.filings.pat_year_ago(0, 2))
    old = int(np.flatnonzero(full.filings.filed.all(axis=1))[0])
    assert full.filings.pat_year_ago(old, 6) == pytest.approx(full.filings.pat[old, 2], nan_ok=True)
