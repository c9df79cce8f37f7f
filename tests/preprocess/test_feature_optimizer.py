"""FeatureOptimizer: rows in the order asked for, as of the newest commit, nothing invented."""

import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from preprocess.errors import FeatureError, StoreError
from preprocess.feature_optimizer import FeatureOptimizer, history_frame
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.features.research import research_features
from preprocess.features.row import Status
from preprocess.market.calendar import day_number, from_day_number
from preprocess.market.columns import MarketColumns
from preprocess.settings import Settings
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import bars
from tests.preprocess.features.closeness import assert_same_features
from tests.preprocess.features.rewriting import later_than, scrambled
from tests.preprocess.features.rows import row_of
from tests.reference import ReferenceMarket, features

DAY = date(2026, 8, 3)
SEED = 20260814


@pytest.fixture
def optimizer(demo_store: SQLiteStore) -> FeatureOptimizer:
    return FeatureOptimizer(demo_store)


def test_a_frame_has_a_row_a_stock_in_manifest_order(
    optimizer: FeatureOptimizer, demo_store: SQLiteStore
) -> None:
    codes = demo_store.bse_codes()
    frame = optimizer.batch_extract_features(None, DAY)
    assert tuple(frame.columns) == FEATURE_NAMES
    assert frame.index.tolist() == codes
    assert frame.index.name == "bse_code"
    for history in demo_store.histories(codes[::7]):
        expected = row_of(history, DAY).values
        np.testing.assert_array_equal(frame.loc[history.bse_code].to_numpy(), expected)


def test_rows_come_as_asked_for_with_a_reason_where_there_is_none(
    optimizer: FeatureOptimizer, demo_store: SQLiteStore
) -> None:
    codes = demo_store.bse_codes()
    asked = [codes[3], "123456", codes[0], codes[3]]
    extract = optimizer.extract(asked, DAY)
    assert extract.bse_codes == tuple(asked)
    assert extract.status == ["OK", "UNKNOWN_STOCK", "OK", "OK"]
    values = extract.rows.values
    assert values[0].tobytes() == values[3].tobytes() != values[2].tobytes()
    assert np.isnan(values[1]).all()
    assert optimizer.batch_extract_features(asked, DAY).index.tolist() == asked


def test_no_stocks_are_an_empty_frame(optimizer: FeatureOptimizer) -> None:
    frame = optimizer.batch_extract_features([], DAY)
    assert frame.shape == (0, 25)
    assert tuple(frame.columns) == FEATURE_NAMES


@pytest.mark.parametrize("day", [date.min, date(1990, 1, 1)])
def test_before_all_data_every_history_is_short(optimizer: FeatureOptimizer, day: date) -> None:
    extract = optimizer.extract(None, day)
    assert set(extract.status) == {Status.SHORT_HISTORY}
    assert extract.frame().isna().all().all()


@pytest.mark.parametrize("code", ["12345", "1234567", "50032५", "", 500325, None, b"500325"])
def test_what_is_no_code_is_refused(optimizer: FeatureOptimizer, code: object) -> None:
    with pytest.raises(FeatureError, match="six digits"):
        optimizer.batch_extract_features([code], DAY)  # type: ignore[list-item]  # on purpose


def test_history_has_every_announcement_as_it_was_then(
    optimizer: FeatureOptimizer, demo_store: SQLiteStore
) -> None:
    frame = optimizer.extract_history()
    expected = [(h.bse_code, label) for h in demo_store.histories() for label in h.labels]
    found = zip(frame["bse_code"], frame["day"], frame["next_day"], frame["up_5pct"], strict=True)
    assert list(found) == [
        (code, label.earnings_date, label.next_day_date, label.label) for code, label in expected
    ]
    assert frame["price_change_pct"].tolist() == [label.price_change_pct for _, label in expected]
    histories = {history.bse_code: history for history in demo_store.histories()}
    for row in range(0, len(frame), 9):
        code, label = expected[row]
        own = row_of(histories[code], label.earnings_date)
        assert frame["status"][row] == own.status
        values = frame.iloc[row][list(FEATURE_NAMES)].to_numpy(dtype=np.float64)
        np.testing.assert_array_equal(values, own.values)


def test_history_of_some_stocks(optimizer: FeatureOptimizer) -> None:
    everyone = optimizer.extract_history()
    first, *_, last = everyone["bse_code"].unique()
    some = optimizer.extract_history([last, "123456", first, last])
    own = everyone[everyone["bse_code"].isin([first, last])].reset_index(drop=True)
    assert len(own)
    pd.testing.assert_frame_equal(some, own, check_exact=True)
    for nobody in ([], ["123456"]):
        nothing = optimizer.extract_history(nobody)
        assert len(nothing) == 0
        assert nothing.columns.tolist() == everyone.columns.tolist()
    with pytest.raises(FeatureError, match="six digits"):
        optimizer.extract_history(["12345"])


def assert_history_is_blind(columns: MarketColumns, day: date) -> int:
    """What came after a day moves no bit of the features of announcements up to it."""
    numbers = columns.labels["earnings_day"]
    then = numbers <= day_number(day)
    later = later_than(columns, day_number(day))
    assert then.any()
    assert later["labels"].any()
    expected, found = (
        history_frame(market)[list(FEATURE_NAMES)].to_numpy()
        for market in (columns, scrambled(columns, later, seed=SEED))
    )
    assert found[then].tobytes() == expected[then].tobytes()
    assert found[~then].tobytes() != expected[~then].tobytes()
    return int(then.sum())


def test_history_sees_nothing_later(demo_store: SQLiteStore) -> None:
    columns = demo_store.columns()
    days = np.unique(columns.labels["earnings_day"])
    for number in (days[len(days) // 3], days[len(days) // 2], days[-2]):
        assert_history_is_blind(columns, from_day_number(number))


@pytest.mark.market_data
def test_history_of_the_real_market_sees_nothing_later(real_store: SQLiteStore) -> None:
    columns = real_store.columns()
    assert assert_history_is_blind(columns, date(2025, 2, 14)) > 4_000
    assert assert_history_is_blind(columns, date(2026, 2, 13)) > 6_000


def test_a_commit_between_two_calls_is_seen(store: SQLiteStore) -> None:
    closes = [100.0 + row % 7 for row in range(60)]
    with store.transaction() as writer:
        for code in ("500001", "500002"):
            writer.put_prices(bars(code, closes))
    optimizer = FeatureOptimizer(store)
    before = optimizer.batch_extract_features(None, date(2024, 3, 1))
    with store.transaction() as writer:
        writer.put_prices(bars("500002", [close * 2 for close in closes]))
    after = optimizer.batch_extract_features(None, date(2024, 3, 1))
    assert after.loc["500001"].equals(before.loc["500001"])
    assert after.loc["500002", "bb_middle"] == pytest.approx(2 * before.loc["500002", "bb_middle"])
    store.close()
    with pytest.raises(StoreError):
        optimizer.batch_extract_features(None, date(2024, 3, 1))


@pytest.mark.parametrize("asked_between", [True, False])
def test_a_copy_that_is_put_back_is_seen(
    store: SQLiteStore, tmp_path: Path, asked_between: bool
) -> None:
    """The log then ends before what was seen already, or goes on with other changes."""
    closes = [100.0 + row % 7 for row in range(60)]
    with store.transaction() as writer:
        writer.put_prices(bars("500001", closes))
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        with closing(sqlite3.connect(store.path)) as original:
            original.backup(copy)
        optimizer = FeatureOptimizer(store)
        before = optimizer.batch_extract_features(None, date(2024, 3, 1))
        with store.transaction() as writer:
            writer.put_prices(bars("500001", [close * 2 for close in closes]))
        doubled = optimizer.batch_extract_features(None, date(2024, 3, 1))
        assert not doubled.equals(before)
        seen = store.mark().sequence
        with closing(sqlite3.connect(store.path)) as target:
            copy.backup(target)
    if asked_between:
        assert optimizer.batch_extract_features(None, date(2024, 3, 1)).equals(before)
    with store.transaction() as writer:
        writer.put_prices(bars("500002", closes))
    assert store.mark().sequence == seen  # the same number, of another commit
    both = optimizer.batch_extract_features(None, date(2024, 3, 1))
    assert both.loc[["500001"]].equals(before)
    assert both.index.tolist() == ["500001", "500002"]


def test_research_features_of_a_stock(optimizer: FeatureOptimizer, demo_store: SQLiteStore) -> None:
    history = demo_store.history("900001")
    assert history is not None
    found = optimizer.research("900001", DAY)
    assert found == pytest.approx(research_features(history, DAY), nan_ok=True)
    assert found["announcement_month"] == 8
    with pytest.raises(FeatureError, match="no stock '123456'"):
        optimizer.research("123456", DAY)


@pytest.mark.market_data
def test_a_thousand_real_rows_are_those_of_a_second_implementation(
    real_market: Settings, market_data: Path
) -> None:
    """pandas and TA-Lib straight from the raw files, without a line of preprocess/."""
    reference = ReferenceMarket.load(market_data)
    rng = np.random.default_rng(SEED)
    with closing(SQLiteStore(real_market.database_path)) as store:
        optimizer = FeatureOptimizer(store)
        columns = optimizer.market()
        priced = np.flatnonzero(np.diff(columns.prices.starts) > 60)
        for index in rng.choice(priced, 1000).tolist():
            code = columns.codes[index].decode()
            rows = slice(*columns.prices.starts[index : index + 2].tolist())
            number = int(rng.choice(columns.prices["day"][rows][40:]))
            day = from_day_number(number) + timedelta(days=int(rng.integers(0, 3)))
            found = optimizer.extract([code], day)
            assert found.status == ["OK"]
            expected = np.array(features(reference, code, day.isoformat()))
            assert_same_features(found.rows.values[0], expected, context=f"{code} on {day}")


@pytest.mark.parametrize("period", [-1, 0, 1, 100_001])
def test_a_period_that_talib_does_not_take_is_refused(period: int) -> None:
    close = np.linspace(10.0, 20.0, 50)
    for calculate in (
        FeatureOptimizer.calculate_rsi_vectorized,
        FeatureOptimizer.calculate_macd_vectorized,
        FeatureOptimizer.calculate_bollinger_vectorized,
    ):
        with pytest.raises(FeatureError, match=f"not {period}"):
            calculate(close, period)


@pytest.mark.parametrize("starts", [[0, 20], [1, 50], [0, 30, 20, 50], []])
def test_offsets_that_do_not_cover_the_closes_are_refused(starts: list[int]) -> None:
    with pytest.raises(FeatureError, match="ascend from 0 to the 50 closes"):
        FeatureOptimizer.calculate_rsi_vectorized(
            np.linspace(10.0, 20.0, 50), starts=np.array(starts, dtype=np.int64)
        )
