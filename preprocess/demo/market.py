"""The demo market, and writing it into an empty store.

Everything in it is made up: companies, prices, results, and the pattern by which shares jump after
results (see preprocess.demo.prices). It is for trying Tezi out. So that it is never mistaken for
real data, every name in it begins with "Demo".
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np

from preprocess.demo.companies import (
    INDUSTRIES,
    MOST_COMPANIES,
    SHARE_EVENTS,
    Companies,
    draw_companies,
)
from preprocess.demo.prices import Prices, draw_prices
from preprocess.demo.results import Filings, draw_filings
from preprocess.errors import StoreError
from preprocess.market.calendar import day_number, from_day_number
from preprocess.market.values import Bar, CorporateAction, Span, Stock
from preprocess.store import Store, Writer

SEED = 20260814
STOCKS = 500
TRADING_DAYS = 500
FEWEST_TRADING_DAYS = 60  # room for gaps, listings and splits

# BSE gives no equity a code that begins with 9.
FIRST_BSE_CODE = 900001
STOCKS_PER_WRITE = 20


@dataclass(frozen=True, slots=True)
class DemoMarket:
    """A market that exists in memory only; companies are numbered from 0."""

    days: tuple[date, ...]
    companies: Companies
    filings: Filings
    prices: Prices

    def stock(self, company: int) -> Stock:
        """The listing of one company; its names show that it is made up."""
        industry, number = INDUSTRIES[self.companies.industry[company]], company + 1
        return Stock(
            bse_code=str(FIRST_BSE_CODE + company),
            nse_symbol=f"DEMO{number:03d}",
            company_name=f"Demo {industry} {number:03d}",
            isin=f"DEMO{number:08d}",
            industry=industry,
            status="suspended" if self.companies.suspended[company] else "active",
        )

    def bars(self, company: int) -> list[Bar]:
        """The daily bars of one company, ascending, as traded."""
        rows, prices = np.flatnonzero(self.companies.rows[company]), self.prices
        columns = [
            column[company, rows].tolist()
            for column in (prices.open, prices.high, prices.low, prices.close, prices.volume)
        ]
        before = [None, *columns[3][:-1]]
        code = str(FIRST_BSE_CODE + company)
        return [
            Bar(code, self.days[row], *figures)
            for row, *figures in zip(rows.tolist(), *columns, before, strict=True)
        ]

    def actions(self, company: int) -> list[CorporateAction]:
        """The split or bonus of one company, if it has one."""
        day = int(self.companies.event_day[company])
        event = SHARE_EVENTS[self.companies.event[company]]
        return [CorporateAction(self.days[day], *event)] if day >= 0 else []


def draw_market(
    *,
    last_day: date,
    seed: int = SEED,
    stocks: int = STOCKS,
    trading_days: int = TRADING_DAYS,
) -> DemoMarket:
    """Make a market whose last trading day is the newest on or before `last_day`.

    The same arguments give the same market, bit for bit.

    Raises:
        ValueError: `stocks` or `trading_days` is out of range.
    """
    if not 1 <= stocks <= MOST_COMPANIES:
        raise ValueError(f"A demo market has 1 to {MOST_COMPANIES} stocks, not {stocks}.")
    if trading_days < FEWEST_TRADING_DAYS:
        raise ValueError(
            f"A demo market lasts at least {FEWEST_TRADING_DAYS} trading days, not {trading_days}."
        )
    # All weekdays: the made-up exchange has no holidays.
    last = day_number(last_day)
    calendar = np.arange(last - 2 * trading_days, last + 1, dtype=np.int32)
    numbers = calendar[(calendar + 3) % 7 < 5][-trading_days:]  # 1970-01-01 was a Thursday
    days = [from_day_number(number) for number in numbers.tolist()]
    rng = np.random.default_rng(seed)
    companies = draw_companies(rng, stocks, trading_days)
    filings = draw_filings(rng, companies, days)
    prices = draw_prices(rng, companies, filings, numbers)
    return DemoMarket(tuple(days), companies, filings, prices)


def build_demo_market(
    store: Store,
    *,
    last_day: date,
    derive: Callable[[Writer], None],
    seed: int = SEED,
    stocks: int = STOCKS,
    trading_days: int = TRADING_DAYS,
    progress: Callable[[int, int], None] | None = None,
) -> Span:
    """Fill an empty store with a demo market in one transaction; return the span of its data.

    `derive` is called once at the end, inside the transaction, to compute labels and stamps.
    `progress` is called with (stocks written, stocks in all).

    Raises:
        StoreError: the store holds data already, or cannot be written. It is left as it was.
        ValueError: `stocks` or `trading_days` is out of range.
    """
    with store.transaction() as writer:
        counts = writer.span().counts
        if any(counts.values()):
            raise StoreError(
                f"The database already has data ({counts['stocks']} stocks), and made-up data is "
                "never mixed into it. Name another database in TEZI_DATABASE_URL or another folder "
                "in TEZI_DATA_DIR, or move the present database away first."
            )
        market = draw_market(last_day=last_day, seed=seed, stocks=stocks, trading_days=trading_days)
        for start in range(0, stocks, STOCKS_PER_WRITE):
            companies = range(start, min(start + STOCKS_PER_WRITE, stocks))
            _write(writer, market, companies)
            if progress is not None:
                progress(companies.stop, stocks)
        derive(writer)
        return writer.span()


def _write(writer: Writer, market: DemoMarket, companies: range) -> None:
    stocks = {number: market.stock(number) for number in companies}
    writer.put_stocks(list(stocks.values()))
    writer.put_prices([bar for number in companies for bar in market.bars(number)])
    writer.put_actions(
        [(s.bse_code, action) for number, s in stocks.items() for action in market.actions(number)]
    )
    writer.put_results(
        [(s.bse_code, r) for number, s in stocks.items() for r in market.filings.results(number)]
    )
