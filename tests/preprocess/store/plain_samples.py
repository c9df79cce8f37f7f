"""Small random markets, and their announcement samples joined in plain Python."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from hypothesis import strategies as st

from preprocess.market.calendar import FiscalQuarter, from_day_number
from preprocess.market.values import Bar, CircuitLabel, QuarterResult, StockHistory
from preprocess.store import Writer

CODES = ("000001", "500001", "999999")
FIRST = date(2024, 3, 1)


@dataclass(frozen=True)
class Data:
    """What one stock is given in one transaction."""

    code: str
    bars: tuple[Bar, ...]
    results: tuple[QuarterResult, ...]
    labels: tuple[CircuitLabel, ...]

    def write(self, writer: Writer) -> None:
        """Write it; the labels given are all the labels of the stock."""
        writer.put_prices(self.bars)
        writer.put_results([(self.code, result) for result in self.results])
        writer.replace_labels(self.code, self.labels)


days = st.integers(0, 220).map(lambda number: FIRST + timedelta(days=number))
quarters = st.sampled_from([FiscalQuarter(2024, 1).shifted(step) for step in range(6)])
figures = st.sampled_from([1.0, 2.5, -3.0, float("nan")])


@st.composite
def results(draw: st.DrawFn) -> QuarterResult:
    quarter = draw(quarters)
    announced = draw(st.none() | days)
    revenue, pat, operating_profit, eps = (draw(figures) for _ in range(4))
    return QuarterResult(quarter, quarter.last_day, announced, revenue, pat, operating_profit, eps)


@st.composite
def stock_data(draw: st.DrawFn) -> Data:
    code = draw(st.sampled_from(CODES))
    dated = draw(st.lists(days, max_size=8, unique=True))
    bars = tuple(Bar(code, day, p, p, p, p, 100 + i) for i, day in enumerate(dated) for p in [9.5])
    found = draw(st.lists(results(), max_size=4, unique_by=lambda result: result.quarter))
    earned = draw(st.lists(days, max_size=4, unique=True))
    labels = tuple(
        CircuitLabel(day, day + timedelta(days=1), 6.0 - number, int(number < 2))
        for number, day in enumerate(earned)
    )
    return Data(code, bars, tuple(found), labels)


def plain_samples(histories: Iterable[StockHistory]) -> list[tuple[object, ...]]:
    """For each label, by looking at every bar and every result, what was known on its day."""
    return [
        _sample(history, label)
        for history in sorted(histories, key=lambda history: history.bse_code)
        for label in history.labels
    ]


def _sample(history: StockHistory, label: CircuitLabel) -> tuple[object, ...]:
    """A row of `announcement_samples`, its columns in the order of the table."""
    prices = history.prices
    traded = [from_day_number(number) for number in prices.days.tolist()]
    bars = [place for place, day in enumerate(traded) if day <= label.earnings_date]
    price: tuple[object, ...] = (None,) * 3
    if bars:
        bar = bars[-1]
        price = traded[bar].isoformat(), float(prices.close[bar]), int(prices.volume[bar])
    known = [result for result in history.results if result.known_on <= label.earnings_date]
    financials: tuple[object, ...] = (None,) * 7
    if known:
        newest = max(known, key=lambda result: (result.quarter, result.known_on))
        figures = (newest.revenue_cr, newest.pat_cr, newest.operating_profit_cr, newest.eps)
        financials = (
            newest.quarter.fiscal_year,
            f"Q{newest.quarter.quarter}",
            newest.known_on.isoformat(),
            *(None if math.isnan(figure) else figure for figure in figures),
        )
    outcome = (label.next_day_date.isoformat(), label.price_change_pct, label.label)
    return (history.bse_code, label.earnings_date.isoformat(), *price, *financials, *outcome)
