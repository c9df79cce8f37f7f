"""The join in memory is the plain join, for any market and for the real one."""

import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.calendar import FiscalQuarter, day_number
from preprocess.columns import Array, columns_of
from preprocess.features import samples as samples_module
from preprocess.features.samples import NO_DAY, NO_QUARTER, as_of_join
from preprocess.market import Bar, CircuitLabel, StockHistory
from preprocess.samples import AnnouncementSample
from preprocess.settings import Settings
from preprocess.store.sqlite import SQLiteStore
from preprocess.store.tools import tools_for
from tests.builders import MONDAY, prices, result
from tests.store.plain_samples import Data, plain_samples, stock_data


def history_of(data: Data) -> StockHistory:
    ordered = sorted(data.bars, key=lambda bar: bar.day)
    series = prices(
        [bar.close for bar in ordered],
        volume=[bar.volume for bar in ordered],
        days=[bar.day for bar in ordered],
    )
    return StockHistory(
        data.code,
        series,
        results=tuple(sorted(data.results, key=lambda result: result.quarter)),
        labels=tuple(sorted(data.labels, key=lambda label: label.earnings_date)),
    )


def joined(samples: Sequence[AnnouncementSample]) -> dict[str, list[object]]:
    """Samples as the arrays of `as_of_join` have them."""

    def figure(value: float | None) -> float:
        return math.nan if value is None else value

    return {
        "bse_code": [sample.bse_code.encode() for sample in samples],
        "earnings_day": [day_number(sample.earnings_date) for sample in samples],
        "price_day": [day_number(s.price_date) if s.price_date else NO_DAY for s in samples],
        "close": [figure(sample.close) for sample in samples],
        "volume": [figure(sample.volume) for sample in samples],
        "quarter": [
            s.fiscal_year * 4 + int(s.quarter[1]) - 1
            if s.fiscal_year is not None and s.quarter
            else NO_QUARTER
            for s in samples
        ],
        "known_on": [day_number(s.known_on) if s.known_on else NO_DAY for s in samples],
        "revenue_cr": [figure(sample.revenue_cr) for sample in samples],
        "pat_cr": [figure(sample.pat_cr) for sample in samples],
        "operating_profit_cr": [figure(sample.operating_profit_cr) for sample in samples],
        "eps": [figure(sample.eps) for sample in samples],
        "next_day": [day_number(sample.next_day_date) for sample in samples],
        "label": [sample.label for sample in samples],
    }


def assert_joined(found: dict[str, Array], samples: Sequence[AnnouncementSample]) -> None:
    expected = joined(samples)
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], np.array(values, found[name].dtype), name)


@settings(deadline=None, max_examples=50)
@given(st.lists(stock_data(), max_size=3, unique_by=lambda data: data.code))
def test_the_join_in_memory_is_the_plain_join(market: list[Data]) -> None:
    histories = [history_of(data) for data in market]
    assert_joined(as_of_join(columns_of(histories)), plain_samples(histories))


def test_the_loop_is_right_before_it_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    bar = Bar("000001", MONDAY, 2.0, 2.0, 2.0, 2.0, 7)
    known = [result(2024, quarter, eps=float(quarter)) for quarter in (1, 2, 3)]
    late = result(2024, 4, announced=MONDAY + timedelta(days=900))
    labels = [
        CircuitLabel(MONDAY + timedelta(days=after), MONDAY + timedelta(days=after + 1), 1.0, 0)
        for after in (-400, -1, 0, 60)
    ]
    market = [
        history_of(Data("000001", (bar,), (*known, late), tuple(labels))),
        history_of(Data("000002", (), (), tuple(labels[:1]))),
        history_of(Data("000003", (bar,), tuple(known), ())),
        history_of(Data("000004", (), (result(2024, 2, announced=MONDAY),), tuple(labels[1:3]))),
    ]
    monkeypatch.setattr(samples_module, "_as_of", samples_module._as_of.py_func)
    found = as_of_join(columns_of(market))
    assert_joined(found, plain_samples(market))
    assert found["price_day"].tolist()[1:4] == [NO_DAY, day_number(MONDAY), day_number(MONDAY)]
    assert found["quarter"].tolist()[:2] == [NO_QUARTER, 2024 * 4 + 1]
    assert found["quarter"].tolist()[-2:] == [NO_QUARTER, 2024 * 4 + 1]  # known on the very day


def test_quarters_are_numbered_as_in_the_columns() -> None:
    assert FiscalQuarter(2026, 3).fiscal_year * 4 + 3 - 1 == 8106


@pytest.mark.market_data
def test_the_join_in_memory_is_the_table_of_the_real_market(
    real_market: Settings, real_store: SQLiteStore
) -> None:
    tools = tools_for(real_market)
    with tools.upkeep(lambda _: None) as upkeep:
        upkeep.refresh_samples()
    table = tools.samples()
    columns = real_store.columns()
    assert table.mark == columns.mark
    assert_joined(as_of_join(columns), table.rows)
