"""The demo companies: plainly made up, and of every kind that real data has."""

import re
from typing import NamedTuple

import numpy as np
import pytest

from preprocess.demo.companies import (
    INDUSTRIES,
    SHORT_HISTORY_ROWS,
    THIN_BAND,
    Companies,
    draw_companies,
)
from preprocess.demo.market import DemoMarket
from preprocess.market import is_bse_code


class Kinds(NamedTuple):
    """How many companies there are of each kind."""

    thin: int
    gappy: int
    new: int
    short: int
    suspended: int
    with_events: int


def longest_gaps(companies: Companies) -> list[int]:
    """For each company the most trading days in a row without a price, between two prices."""
    return [int(np.diff(np.flatnonzero(rows)).max()) - 1 for rows in companies.rows]


def test_nobody_takes_the_names_for_real(full: DemoMarket) -> None:
    stocks = [full.stock(company) for company in range(len(full))]
    for number, stock in enumerate(stocks, start=1):
        assert stock.bse_code == str(900000 + number)
        assert is_bse_code(stock.bse_code)
        assert stock.nse_symbol == f"DEMO{number:03d}"
        assert stock.isin is not None
        assert re.fullmatch(r"DEMO[0-9]{8}", stock.isin)
        assert stock.company_name == f"Demo {stock.industry} {number:03d}"
    assert stocks[16].isin == "DEMO00000017"
    assert {stock.industry for stock in stocks} == set(INDUSTRIES)
    assert len(INDUSTRIES) == 12


@pytest.mark.parametrize(
    ("name", "expected"),
    [("small", Kinds(5, 5, 4, 2, 1, 7)), ("full", Kinds(40, 40, 30, 10, 10, 60))],
)
def test_every_kind_occurs_in_its_number(
    request: pytest.FixtureRequest, name: str, expected: Kinds
) -> None:
    market: DemoMarket = request.getfixturevalue(name)
    companies = market.companies
    assert (companies.band[companies.thin] == THIN_BAND).all()
    gaps = [gap for gap in longest_gaps(companies) if gap > 0]
    assert all(10 <= gap <= 40 for gap in gaps)
    assert expected == Kinds(
        thin=int(companies.thin.sum()),
        gappy=len(gaps),
        new=int((~companies.rows[:, 0]).sum()),
        short=int((companies.rows.sum(axis=1) < SHORT_HISTORY_ROWS).sum()),
        suspended=int(companies.suspended.sum()),
        with_events=sum(bool(events) for events in companies.events),
    )
    assert (~companies.rows[:, -1] == companies.suspended).all()
    statuses = [market.stock(company).status for company in range(len(market))]
    assert statuses.count("suspended") == expected.suspended
    assert statuses.count("active") == len(market) - expected.suspended


def test_all_bands_occur(full: DemoMarket) -> None:
    assert set(full.companies.band.tolist()) == {0.05, 0.10, 0.20}


def test_ratios_stand_on_ex_dates_and_nowhere_else(full: DemoMarket) -> None:
    ratios = full.companies.ratios
    events = [(c, event) for c, of in enumerate(full.companies.events) for event in of]
    assert len(events) > 60  # some companies have two
    assert {event.kind for _, event in events} == {"split", "bonus"}
    for company, event in events:
        assert ratios[company, event.place] == event.ratio
        assert full.companies.rows[company, event.place]
        assert event.place > 0
    assert (ratios != 1.0).sum() == len(events)


def test_one_company_is_a_market_too() -> None:
    companies = draw_companies(np.random.default_rng(1), 1, 60)
    assert len(companies) == 1
    assert companies.rows.all()


@pytest.mark.parametrize("seed", range(5))
def test_the_shortest_market_has_room_for_every_kind(seed: int) -> None:
    companies = draw_companies(np.random.default_rng(seed), 200, 60)
    assert (companies.rows.sum(axis=1) >= 5).all()
    assert 10 <= max(longest_gaps(companies)) <= 12
