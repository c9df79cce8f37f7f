"""The compiled rows: those of the definition, stock by stock, whatever lies around them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.features.batch import NO_DAY, STATUSES, UNKNOWN, BatchRows, as_dates, batch_rows
from preprocess.features.kernel import feature_rows, fiscal_quarter
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.features.row import MINIMUM_ROWS, Status
from preprocess.market.calendar import FiscalQuarter, day_number, from_day_number
from preprocess.market.columns import Array, MarketColumns, columns_of
from preprocess.market.values import CorporateAction, StockHistory
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import history, prices, weekdays
from tests.preprocess.features.closeness import assert_same_features
from tests.preprocess.features.definition import feature_row
from tests.preprocess.features.histories import Shape, made_history, shapes
from tests.preprocess.features.rewriting import later_than, rows_of, scrambled, without
from tests.preprocess.features.rows import row_of

SEED = 20260814


def asked(columns: MarketColumns, places: Sequence[int] | Array, days: int | Array) -> BatchRows:
    """Rows of `places`, all as of one day or each of its own."""
    where = np.array(places, dtype=np.int64)
    return batch_rows(columns, where, np.broadcast_to(np.int32(days), where.shape))


def assert_same_bits(found: BatchRows, expected: BatchRows) -> None:
    assert found.values.tobytes() == expected.values.tobytes()
    assert found.as_of.tobytes() == expected.as_of.tobytes()
    assert found.status.tobytes() == expected.status.tobytes()


def chosen(rows: BatchRows, places: Array) -> BatchRows:
    return BatchRows(rows.values[places], rows.as_of[places], rows.status[places])


def assert_defined(stocks: Sequence[StockHistory], *, days_each: int) -> int:
    """Each stock on random days of its own and on its last; how many rows have values."""
    rng = np.random.default_rng(SEED)
    asked_for = [
        (index, int(day))
        for index, stock in enumerate(stocks)
        if len(stock.prices)
        for first, last in [(stock.prices.days[0], stock.prices.days[-1])]
        for day in (*rng.integers(first - 3, last + 5, days_each), last)
    ]
    places, days = np.array(asked_for).T
    rows = asked(columns_of(stocks), places, days)
    assert not np.isinf(rows.values.astype(np.float32)).any()
    for row, (index, number) in enumerate(asked_for):
        day = from_day_number(number)
        expected = feature_row(stocks[index], day)
        context = f"{stocks[index].bse_code} on {day}"
        assert STATUSES[rows.status[row]] is expected.status, context
        assert as_dates(rows.as_of[row : row + 1]) == [expected.as_of], context
        assert_same_features(rows.values[row], expected.values, context=context)
    return int((rows.status == STATUSES.index(Status.OK)).sum())


@pytest.mark.market_data
def test_every_real_stock_has_the_rows_of_the_definition(
    real_histories: list[StockHistory],
) -> None:
    assert assert_defined(real_histories, days_each=4) > 4_000


def test_every_demo_stock_has_the_rows_of_the_definition(demo_store: SQLiteStore) -> None:
    assert assert_defined(list(demo_store.histories()), days_each=10) > 500


@settings(max_examples=400, deadline=None, derandomize=True)
@given(shape=shapes(), seed=st.integers(0, 2**32))
def test_made_up_histories_have_the_rows_of_the_definition(shape: Shape, seed: int) -> None:
    row = row_of(*made_history(shape, seed))
    assert not np.isinf(row.values.astype(np.float32)).any()


@pytest.mark.parametrize("rows", [1, 33, 34, 35])
@pytest.mark.parametrize("price", [0.01, 100.0, 98_765.4])
def test_flat_and_short(rows: int, price: float) -> None:
    days = weekdays(rows)
    row = row_of(history("500001", prices([price] * rows)), days[-1])
    assert (row.status is Status.OK) == (rows >= MINIMUM_ROWS)
    if row.status is Status.OK:
        values = dict(zip(FEATURE_NAMES, row.values, strict=True))
        assert (values["rsi_14"], values["bb_percent_b"]) == (0.0, 0.5)
        assert values["macd_line"] == pytest.approx(0.0, abs=1e-9 * price)


@pytest.mark.parametrize("still", [20, 500, 2_000])
def test_a_stock_that_stands_still_for_years_keeps_its_rsi(still: int) -> None:
    moved = [100.0 + 3.0 * (row % 3) for row in range(60)]
    stock = history("500001", prices(moved + [moved[-1]] * still))
    before = row_of(stock, weekdays(60)[-1]).values[0]
    assert row_of(stock, weekdays(60 + still)[-1]).values[0] == pytest.approx(before, rel=1e-9)


def test_volume_is_a_spike_above_exactly_twice_the_mean() -> None:
    for last, spike in ((2000.0, 0.0), (2001.0, 1.0)):
        series = prices([10.0] * 40, volume=[1000.0] * 39 + [last])
        row = row_of(history("500001", series), weekdays(40)[-1])
        assert row.values[FEATURE_NAMES.index("volume_spike")] == spike


@pytest.mark.parametrize("offset", [-1, 0, 1])
@pytest.mark.parametrize("adjusted_rows", [0, 30, 60])
def test_actions_round_the_day(offset: int, adjusted_rows: int) -> None:
    """A split and a bonus with one ex-date, which lies before, on or after the day asked for."""
    days = weekdays(60)
    series = prices([100.0 + row % 9 for row in range(60)])
    series.adjusted[:adjusted_rows] = True
    actions = tuple(CorporateAction(days[50], kind, 2.0) for kind in ("bonus", "split"))
    row = row_of(history("500001", series, actions=actions), days[50 - offset])
    unmoved = row_of(history("500001", series), days[50 - offset])
    moved = offset <= 0 and adjusted_rows < 60
    assert moved == (row.values.tobytes() != unmoved.values.tobytes())


def test_fiscal_quarters_of_150_years() -> None:
    for number in range(day_number(date(1950, 1, 1)), day_number(date(2101, 1, 1))):
        assert fiscal_quarter(number) == FiscalQuarter.of(from_day_number(number)).quarter


def test_a_row_does_not_depend_on_what_else_is_asked(demo_store: SQLiteStore) -> None:
    columns = demo_store.columns()
    rng = np.random.default_rng(SEED)
    first, last = int(columns.prices["day"].min()), int(columns.prices["day"].max())
    places = rng.integers(-1, len(columns), 500)  # unknown ones, and many more than once
    days = rng.integers(first, last + 10, 500)
    together = asked(columns, places, days)
    assert (together.status[places < 0] == UNKNOWN).all()
    assert (together.as_of[places < 0] == NO_DAY).all()
    assert np.isnan(together.values[places < 0]).all()
    order = rng.permutation(500)
    assert_same_bits(asked(columns, places[order], days[order]), chosen(together, order))
    for row in range(0, 500, 5):
        one = asked(columns, places[[row]], days[[row]])
        assert_same_bits(one, chosen(together, np.array([row])))


def test_nothing_asked_and_nobody_known(demo_store: SQLiteStore) -> None:
    columns = demo_store.columns()
    assert asked(columns, [], 20_000).values.shape == (0, 25)
    assert asked(columns, [-1, -1], 20_000).status.tolist() == [UNKNOWN, UNKNOWN]
    assert asked(columns_of([]), [-1], 20_000).status.tolist() == [UNKNOWN]


@pytest.mark.parametrize("day", [date.min, date(3, 12, 31), date(1969, 12, 31), date.max])
def test_days_at_the_ends_of_the_calendar(day: date) -> None:
    row_of(history("500001", prices([100.0] * 40)), day)


def test_a_stock_alone_has_the_row_that_it_has_among_all(demo_store: SQLiteStore) -> None:
    everyone = demo_store.columns()
    day = int(everyone.prices["day"].max()) - 20
    together = asked(everyone, np.arange(len(everyone)), day)
    for index, stock in enumerate(demo_store.histories()):
        alone = asked(columns_of([stock]), [0], day)
        assert_same_bits(alone, chosen(together, np.array([index])))


def assert_blind(columns: MarketColumns, day: int) -> int:
    """Nothing later than a day moves a bit of any stock's row, nor whether it is there."""
    everyone = np.arange(len(columns))
    rows = asked(columns, everyone, day)
    later = later_than(columns, day)
    assert all(mask.any() for name, mask in later.items() if name != "actions")
    for seed in (1, 2):
        assert_same_bits(asked(scrambled(columns, later, seed), everyone, day), rows)
    assert_same_bits(asked(without(columns, later), everyone, day), rows)
    return int((rows.status == STATUSES.index(Status.OK)).sum())


@pytest.mark.market_data
@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2025, 2, 14), date(2026, 5, 30)])
def test_nothing_later_moves_a_bit_of_the_real_market(real_store: SQLiteStore, day: date) -> None:
    assert assert_blind(real_store.columns(), day_number(day)) > 500


def test_nothing_later_moves_a_bit_of_the_demo_market(demo_store: SQLiteStore) -> None:
    columns = demo_store.columns()
    newest = int(columns.prices["day"].max())
    assert sum(assert_blind(columns, newest - back) for back in (40, 90, 91, 180)) > 100


@pytest.mark.market_data
@pytest.mark.parametrize("other", [0, 1])
def test_every_second_stock_of_the_real_market_may_be_nonsense_or_gone(
    real_store: SQLiteStore, other: int
) -> None:
    """Each of the rest lies between two that are not what they were: no bit of it moves."""
    columns = real_store.columns()
    everyone, day = np.arange(len(columns)), day_number(date(2026, 2, 13))
    kept = everyone[everyone % 2 != other]
    expected = chosen(asked(columns, everyone, day), kept)
    others = rows_of(columns, everyone % 2 == other)
    nonsense = asked(scrambled(columns, others, seed=other), everyone, day)
    assert_same_bits(chosen(nonsense, kept), expected)
    assert nonsense.values.tobytes() != asked(columns, everyone, day).values.tobytes()
    assert_same_bits(chosen(asked(without(columns, others), everyone, day), kept), expected)


def test_one_kind_of_arrays_is_compiled(demo_store: SQLiteStore) -> None:
    """Each further kind costs seconds, on a user's first request."""
    columns = demo_store.columns()
    kept = np.zeros(1, dtype=np.int64)
    batch_rows(columns, kept, np.full(1, 20_000, dtype=np.int32))
    batch_rows(columns, kept, columns.prices["day"][:1])
    batch_rows(columns, np.array([0, -1, 1]), np.full(3, 20_000, dtype=np.int32))
    assert len(feature_rows.signatures) == 1


def test_columns_do_not_depend_on_the_order_of_histories(demo_store: SQLiteStore) -> None:
    stocks = list(demo_store.histories())
    renamed = [replace(stock, bse_code=stock.bse_code[::-1]) for stock in stocks]
    columns = columns_of(renamed)
    assert columns.codes.tolist() == sorted(columns.codes.tolist())
    day = stocks[0].prices.days[-1]
    for stock in renamed[::10]:
        index = columns.index_by_code[stock.bse_code.encode()]
        assert_same_bits(asked(columns, [index], day), asked(columns_of([stock]), [0], day))
