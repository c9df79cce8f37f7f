"""The demo market's prices: what an exchange would allow, and no knowledge of the future."""

from dataclasses import replace

import numpy as np
import pytest

from preprocess.calendar import day_number
from preprocess.demo.companies import INDUSTRIES
from preprocess.demo.market import DemoMarket
from preprocess.demo.noise import draw_noise
from preprocess.demo.prices import Played, play
from preprocess.demo.regimes import draw_factors
from preprocess.market import Floats


def references(market: DemoMarket) -> Floats:
    """The close before each bar, on that day's share count; NaN on a stock's first day."""
    found = np.full(market.companies.rows.shape, np.nan)
    ratios = market.companies.ratios
    for company, rows in enumerate(market.companies.rows):
        live = np.flatnonzero(rows)
        before = market.played.close[company, live[:-1]]
        found[company, live[1:]] = before / ratios[company, live[1:]]
    return found


@pytest.fixture(scope="module")
def reference(full: DemoMarket) -> Floats:
    return references(full)


def test_bars_are_possible(full: DemoMarket) -> None:
    played, live = full.played, full.companies.rows
    for column in (played.open, played.high, played.low, played.close):
        assert (column[live] > 0.0).all()
        assert (column[live] == np.round(column[live], 2)).all()
    assert (played.high >= np.maximum(played.open, played.close))[live].all()
    assert (played.low <= np.minimum(played.open, played.close))[live].all()
    assert played.volume.dtype == np.int64
    assert (played.volume[live] >= 0).all()


def test_ticks_are_five_paise_above_250_rupees_and_one_below(
    full: DemoMarket, reference: Floats
) -> None:
    paise = np.rint(full.played.close * 100.0).astype(np.int64)
    assert (paise[reference >= 250.0] % 5 == 0).all()
    cheap = paise[reference < 250.0] % 5
    assert (np.bincount(cheap, minlength=5) / len(cheap) > 0.1).all()


def test_no_price_leaves_the_days_band(full: DemoMarket, reference: Floats) -> None:
    band = full.companies.band[:, None]
    half_tick = np.where(reference >= 250.0, 0.0251, 0.00501)
    with np.errstate(invalid="ignore"):
        assert not (full.played.high > reference * (1.0 + band) + half_tick).any()
        below = full.played.low < reference * (1.0 - band) - half_tick
    assert not below[full.companies.rows].any()


@pytest.mark.parametrize("band", [0.05, 0.10, 0.20])
def test_stocks_lock_at_their_upper_circuit(
    full: DemoMarket, reference: Floats, band: float
) -> None:
    played = full.played
    at_limit = played.close / reference - 1.0 > band * 0.985
    at_limit &= full.companies.band[:, None] == band
    assert at_limit.sum() >= 3
    if band < 0.20:
        assert (at_limit & (played.low == played.high)).any()


def test_thin_stocks_trade_few_shares_and_often_stand_still(
    full: DemoMarket, reference: Floats
) -> None:
    played, rows = full.played, full.companies.rows
    thin = rows & full.companies.thin[:, None]
    other = rows & ~full.companies.thin[:, None]
    flat = (played.open == played.close) & (played.high == played.low)
    assert 0.5 < flat[thin].mean() < 0.8
    assert flat[other].mean() < 0.03
    assert (played.close == reference)[thin].mean() > 0.25
    assert np.median(played.volume[thin]) < 150
    assert 0.03 < (played.volume[thin] == 0).mean() < 0.10
    assert (flat & (played.close == reference))[thin & (played.volume == 0)].mean() > 0.95
    assert (played.volume[other] > 0).all()


def test_across_an_ex_date_the_price_falls_by_the_ratio(full: DemoMarket) -> None:
    played, checked = full.played, 0
    rises = []
    for company, events in enumerate(full.companies.events):
        band = full.companies.band[company]
        for event in events:
            day = event.place
            before, after = played.close[company, day - 1], played.close[company, day]
            assert after * event.ratio == pytest.approx(before, rel=band + 0.01)
            assert after < before * 0.85
            nearby = played.volume[company, max(0, day - 20) : day + 20]
            lately = len(nearby) // 2
            rises.append(np.median(nearby[lately:]) / np.median(nearby[:lately]) / event.ratio)
            checked += 1
    assert checked > 60
    assert 0.85 < np.median(rises) < 1.15


def test_volume_rises_when_results_are_out(full: DemoMarket) -> None:
    played, days = full.played, np.array([day_number(day) for day in full.days])
    ratios = []
    for company, place in np.argwhere(np.isfinite(played.propensity)).tolist():
        day = int(np.searchsorted(days, full.filings.announced[company, place], side="right"))
        if 26 < day < len(days) and full.companies.rows[company, day - 26 : day + 1].all():
            quiet = np.median(played.volume[company, day - 26 : day - 6])
            ratios.append(played.volume[company, day] / max(quiet, 1.0))
    assert np.median(ratios) > 1.8


def test_stocks_move_with_the_market_and_their_industry(full: DemoMarket) -> None:
    whole = full.companies.rows.all(axis=1) & ~full.companies.thin
    grown = np.cumprod(full.companies.ratios, axis=1)
    returns = np.diff(np.log((full.played.close * grown)[whole]), axis=1)
    industry = full.companies.industry[whole]
    market = returns.mean(axis=0)
    assert np.mean([np.corrcoef(row, market)[0, 1] for row in returns]) > 0.3
    beyond = np.corrcoef(returns - market)
    same = industry[:, None] == industry[None, :]
    np.fill_diagonal(same, val=False)
    assert beyond[same].mean() > beyond[~same & ~np.eye(len(industry), dtype=bool)].mean() + 0.03
    assert 0.012 < returns.std() < 0.03


def test_volume_runs_up_to_results_in_the_five_days_before(small: DemoMarket) -> None:
    companies, filings = small.companies, small.filings
    days = np.array([day_number(day) for day in small.days], dtype=np.int32)
    count, length = companies.rows.shape
    factors = draw_factors(np.random.default_rng(1), len(INDUSTRIES), length)
    noise = draw_noise(np.random.default_rng(2), count, length, len(filings.quarters))
    heard = np.searchsorted(days, filings.announced, side="right") - 1
    plain = play(companies, filings, factors, noise, days)

    def with_attention(first: int, last: int) -> Played:
        chosen = (heard >= first) & (heard <= last)
        attention = np.where(chosen, noise.attention + 2.0, noise.attention)
        return play(companies, filings, factors, replace(noise, attention=attention), days)

    busier = with_attention(100, length)
    place = [np.flatnonzero(of >= 100)[0] for of in heard]
    for company, day in enumerate(heard[np.arange(count), place].tolist()):
        before, after = plain.volume[company], busier.volume[company]
        assert np.array_equal(before[: day - 4], after[: day - 4])
        if not companies.thin[company]:
            assert (after[day - 4 : day + 1] > before[day - 4 : day + 1]).all()
    # Results in the market's first days have no days before them to run up in.
    early = with_attention(0, 3)
    assert not np.array_equal(early.volume[:, :4], plain.volume[:, :4])
    assert np.array_equal(early.volume[:, -4:], plain.volume[:, -4:])


def test_no_day_depends_on_a_later_one(small: DemoMarket) -> None:
    """All chance and all figures after a day are replaced: nothing up to it may move."""
    companies, filings = small.companies, small.filings
    days = np.array([day_number(day) for day in small.days], dtype=np.int32)
    count, length = companies.rows.shape
    factors = draw_factors(np.random.default_rng(1), len(INDUSTRIES), length)
    noise = draw_noise(np.random.default_rng(2), count, length, len(filings.quarters))
    other = draw_noise(np.random.default_rng(3), count, length, len(filings.quarters))
    cut = 120
    first = play(companies, filings, factors, noise, days)

    late = np.arange(length) > cut
    announced_late = filings.announced > days[cut]
    by_day = ("move", "overnight", "above", "below", "volume", "quiet")
    replaced = {name: np.where(late, getattr(other, name), getattr(noise, name)) for name in by_day}
    # A jump is decided after its announcement, so the verdict on an early one may change too if
    # the next row is late.
    heard = np.searchsorted(days, filings.announced, side="right") - 1
    replaced |= {
        name: np.where(heard >= cut, getattr(other, name), getattr(noise, name))
        for name in ("verdict", "size")
    }
    second = play(
        companies,
        replace(filings, pat=np.where(announced_late, -filings.pat, filings.pat)),
        replace(
            factors,
            market=np.where(late, -factors.market, factors.market),
            sectors=np.where(late, -factors.sectors, factors.sectors),
        ),
        replace(noise, **replaced),
        days,
    )
    for name in ("open", "high", "low", "close", "volume"):
        before, after = getattr(first, name), getattr(second, name)
        assert np.array_equal(before[:, : cut + 1], after[:, : cut + 1])
        assert not np.array_equal(before, after)
    early = np.isfinite(first.propensity) & ~announced_late
    assert early.sum() > 50
    assert np.array_equal(first.propensity[early], second.propensity[early])
    assert not np.array_equal(
        first.propensity[announced_late], second.propensity[announced_late], equal_nan=True
    )
