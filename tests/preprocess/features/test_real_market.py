"""Properties of the features on real data: no look-ahead, no bleeding, no jump at a split.

These are the mistakes that cost money, so each is looked for in more than one way.
"""

import math
import shutil
import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.features.adjustment import adjusted
from preprocess.features.derive import stamp_months
from preprocess.features.labels import circuit_labels
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.features.research import RESEARCH_FEATURES, research_features
from preprocess.features.row import MINIMUM_ROWS, Status
from preprocess.features.stamps import market_cap_cr
from preprocess.market.calendar import day_number, from_day_number, months_between
from preprocess.market.values import ADJUSTING_KINDS, CorporateAction, Prices, StockHistory
from preprocess.settings import Settings
from preprocess.store.sqlite.store import SQLiteStore
from tests.preprocess.features.rows import both_rows, row_of

pytestmark = pytest.mark.market_data

MARKET_WIDE = ("sector_code", "market_cap_tier")  # by definition they look at other stocks
RELIANCE, PATANJALI, HDFC_BANK = "500325", "500368", "500180"


@pytest.fixture(scope="module")
def histories(real_market: Settings) -> dict[str, StockHistory]:
    store = SQLiteStore(real_market.database_path)
    found = {h.bse_code: h for h in store.histories() if len(h.prices) > MINIMUM_ROWS}
    store.close()
    return found


def scrambled_after(history: StockHistory, day: date, seed: int) -> StockHistory:
    """The same past, and an altogether different future."""
    rng = np.random.default_rng(seed)
    prices, cut = history.prices, len(history.prices.until(day))
    future = prices[cut:]
    count = len(future)
    made_up = rng.uniform(0.05, 5000.0, (4, count))
    later = Prices(
        days=future.days,
        open=made_up[0],
        high=made_up.max(axis=0),
        low=made_up.min(axis=0),
        close=made_up[3],
        volume=rng.integers(0, 10**9, count).astype(np.float64),
        adjusted=rng.random(count) < 0.5,
    )
    joined = Prices(
        *(
            np.concatenate([getattr(prices[:cut], name), getattr(later, name)])
            for name in ("days", "open", "high", "low", "close", "volume", "adjusted")
        )
    )
    noise = float(rng.uniform(-100.0, 100.0))
    return replace(
        history,
        prices=joined,
        results=tuple(
            replace(result, revenue_cr=noise, pat_cr=-noise, operating_profit_cr=noise, eps=noise)
            if result.known_on > day
            else result
            for result in history.results
        ),
        actions=(
            *(action for action in history.actions if action.ex_date <= day),
            CorporateAction(from_day_number(day_number(day) + 1), "split", 10.0),
        ),
        labels=tuple(
            replace(label, label=1 - label.label) if label.next_day_date > day else label
            for label in history.labels
        ),
        statics=tuple(
            replace(stamp, sector_code=99, market_cap_tier=2)
            if stamp.month > day.isoformat()[:7]
            else stamp
            for stamp in history.statics
        ),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_nothing_after_the_day_moves_a_feature(
    histories: dict[str, StockHistory], data: st.DataObject, seed: int
) -> None:
    history = histories[data.draw(st.sampled_from(sorted(histories)))]
    first = int(history.prices.days[MINIMUM_ROWS])
    last = int(history.prices.days[-1]) + 5
    day = from_day_number(data.draw(st.integers(first, last)))
    other = scrambled_after(history, day, seed)
    np.testing.assert_array_equal(both_rows(history, day), both_rows(other, day))
    known, changed = research_features(history, day), research_features(other, day)
    np.testing.assert_array_equal(list(known.values()), list(changed.values()))
    assert tuple(known) == RESEARCH_FEATURES


def test_a_market_that_ends_on_the_day_gives_the_same_features(
    real_store: SQLiteStore, tmp_path: Path
) -> None:
    """Delete all that came after, derive labels and stamps from what is left, and compare."""
    day = date(2025, 2, 14)
    path = tmp_path / "past.db"
    with sqlite3.connect(path) as copy, sqlite3.connect(real_store.path) as original:
        original.backup(copy)
    original.close()
    _forget_after(copy, day)
    past = SQLiteStore(path, write=True)
    _take_back_restatements(past, real_store, day)
    with past.transaction() as writer:
        for code in writer.bse_codes():
            history = writer.history(code)
            assert history is not None
            writer.replace_labels(code, circuit_labels(history, circuit_pct=5.0))
        stamp_months(writer, sorted(real_store.stamped_months() & _months_until(day)))
    compared = 0
    for history in past.histories():
        now = real_store.history(history.bse_code)
        assert now is not None
        then_rows, now_rows = both_rows(history, day), both_rows(now, day)
        # An EPS that is multiplied and divided by a ratio may differ in its last bit.
        np.testing.assert_allclose(then_rows, now_rows, rtol=1e-12, err_msg=history.bse_code)
        compared += not np.isnan(then_rows[0, 0])  # RSI is there wherever a row is
    past.close()
    assert compared > 700


def _forget_after(copy: sqlite3.Connection, day: date) -> None:
    text = day.isoformat()
    with copy:
        copy.execute("DELETE FROM price_movements WHERE date > ?", (text,))
        copy.execute(
            "DELETE FROM historical_financials WHERE coalesce(announced_on, date(period_end,"
            " CASE quarter WHEN 'Q4' THEN '+60 days' ELSE '+45 days' END)) > ?",
            (text,),
        )
        copy.execute("DELETE FROM corporate_actions WHERE ex_date > ?", (text,))
        copy.execute("DELETE FROM upper_circuit_labels")
        copy.execute("UPDATE static_features SET market_cap_cr = NULL, market_cap_tier = NULL")
    copy.close()


def _take_back_restatements(past: SQLiteStore, now: SQLiteStore, day: date) -> None:
    """On that day the source had not yet divided EPS by the ratios of later splits and bonuses."""
    with past.transaction() as writer:
        for history in now.histories():
            ratios = [
                action.ratio
                for action in history.actions
                if action.kind in ADJUSTING_KINDS and action.ratio and action.ex_date > day
            ]
            then = writer.history(history.bse_code)
            assert then is not None
            for result in then.results if ratios else ():
                stated = replace(result, eps=result.eps * math.prod(ratios), eps_as_of=day)
                writer.put_results([(history.bse_code, stated)])


def _months_until(day: date) -> set[str]:
    return set(months_between(date(2023, 1, 1), day))


def test_a_stock_has_the_same_features_alone_and_among_all(
    real_store: SQLiteStore, tmp_path: Path
) -> None:
    own = [index for index, name in enumerate(FEATURE_NAMES) if name not in MARKET_WIDE]
    for code in (RELIANCE, PATANJALI, HDFC_BANK):
        path = tmp_path / f"{code}.db"
        shutil.copy(real_store.path, path)
        with sqlite3.connect(path) as alone:
            for table in (
                "price_movements",
                "historical_financials",
                "corporate_actions",
                "upper_circuit_labels",
                "static_features",
                "stocks",
            ):
                alone.execute(f"DELETE FROM {table} WHERE bse_code <> ?", (code,))
        alone.close()
        lonely = SQLiteStore(path)
        one, among = lonely.history(code), real_store.history(code)
        lonely.close()
        assert one is not None
        assert among is not None
        for day in (date(2024, 3, 28), date(2025, 11, 14), date(2026, 8, 14)):
            np.testing.assert_array_equal(
                both_rows(one, day)[:, own], both_rows(among, day)[:, own]
            )


def test_neighbours_in_the_database_do_not_bleed(histories: dict[str, StockHistory]) -> None:
    """The first rows of a stock that is listed late owe nothing to the stock before it."""
    late = [h for h in histories.values() if h.prices.days[0] > day_number(date(2024, 1, 1))]
    assert len(late) > 5
    for history in late:
        eve = from_day_number(int(history.prices.days[MINIMUM_ROWS - 2]))
        assert row_of(history, eve).status is Status.SHORT_HISTORY
        first = from_day_number(int(history.prices.days[MINIMUM_ROWS - 1]))
        values = row_of(history, first).values
        closes = adjusted(history.prices.until(first), history.actions, first).close
        assert values[FEATURE_NAMES.index("bb_middle")] == pytest.approx(closes[-20:].mean())


def _real_splits(histories: dict[str, StockHistory]) -> list[tuple[StockHistory, float, date]]:
    """Each ex-date within a stock's prices: the product of its ratios, and the day."""
    found = []
    for history in histories.values():
        for day in sorted({a.ex_date for a in history.actions if a.kind in ADJUSTING_KINDS}):
            ratio = float(
                np.prod(
                    [a.ratio for a in history.actions if a.ex_date == day and a.ratio is not None]
                )
            )
            index = int(np.searchsorted(history.prices.days, day_number(day)))
            inside = MINIMUM_ROWS < index < len(history.prices) - 1
            if inside and history.prices.days[index] == day_number(day) and ratio != 1.0:
                found.append((history, ratio, day))
    return found


def test_real_splits_leave_no_jump(histories: dict[str, StockHistory]) -> None:
    splits = _real_splits(histories)
    assert len(splits) > 100
    index = FEATURE_NAMES.index("momentum_5d")
    for history, ratio, day in splits:
        raw = history.prices.until(day).close[-6:]
        # an ex-date moves the traded price by its ratio, give or take a day's trading
        assert raw[5] * ratio / raw[4] == pytest.approx(1.0, abs=0.25), (history.bse_code, day)
        # five rows back lies before the ex-date: the change is that of five days of trading
        change = (raw[5] * ratio / raw[0] - 1.0) * 100.0
        found = row_of(history, day).values[index]
        assert found == pytest.approx(change, rel=1e-9), (history.bse_code, day)


def test_a_split_does_not_show_before_its_ex_date(histories: dict[str, StockHistory]) -> None:
    for history, _, day in _real_splits(histories):
        eve = from_day_number(day_number(day) - 1)
        unaware = replace(history, actions=tuple(a for a in history.actions if a.ex_date < day))
        np.testing.assert_array_equal(both_rows(history, eve), both_rows(unaware, eve))


def test_market_caps_do_not_jump_at_real_splits(histories: dict[str, StockHistory]) -> None:
    smooth: list[tuple[bool, bool]] = []
    for history, _, day in _real_splits(histories):
        eve = from_day_number(day_number(day) - 1)
        pairs = []
        for stock in (history, replace(history, actions=())):  # and as if nothing had happened
            before, after = market_cap_cr(stock, eve), market_cap_cr(stock, day)
            pairs.append(before and after and abs(after / before - 1.0) < 0.25)
        if pairs[0] is not None:
            smooth.append((bool(pairs[0]), bool(pairs[1])))
    restated, ignored = map(sum, zip(*smooth, strict=True))
    assert (len(smooth), restated, ignored) == (87, 87, 2)


@pytest.mark.parametrize("seed", range(40))
def test_a_restatement_moves_nothing_before_its_day(
    histories: dict[str, StockHistory], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    with_results = sorted(code for code, history in histories.items() if len(history.results) > 5)
    history = histories[str(rng.choice(with_results))]
    restated = tuple(
        state
        for result in history.results
        for state in (
            result,
            replace(
                result,
                announced_on=result.known_on + timedelta(days=int(rng.integers(1, 400))),
                revenue_cr=result.revenue_cr * 1.5,
                pat_cr=-result.pat_cr,
            ),
        )
    )
    changed = replace(history, results=restated)
    first, last = history.prices.days[MINIMUM_ROWS], history.prices.days[-1]
    day = from_day_number(int(rng.integers(first, last)))
    rows = both_rows(changed, day)
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-7, atol=1e-9)
    known = tuple(state for state in restated if state.known_on <= day)
    np.testing.assert_array_equal(rows, both_rows(replace(history, results=known), day))
    newest = {state.quarter: state for state in known}
    states = tuple(newest.values())
    np.testing.assert_array_equal(rows, both_rows(replace(history, results=states), day))


def test_share_of_positive_labels_is_that_of_the_market(
    histories: dict[str, StockHistory],
) -> None:
    labels = [label.label for history in histories.values() for label in history.labels]
    assert len(labels) > 6_800
    assert np.mean(labels) == pytest.approx(0.096, abs=0.005)


def test_the_labels_of_real_announcements(histories: dict[str, StockHistory]) -> None:
    found = Counter(
        (label.upper_circuit, label.label)
        for history in histories.values()
        for label in history.labels
    )
    assert found == {(0, 0): 6744, (1, 0): 46, (0, 1): 650, (1, 1): 73}
