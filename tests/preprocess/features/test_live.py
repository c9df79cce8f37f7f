"""The market in memory: what a new base, made meanwhile, must never change."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from preprocess.errors import StoreError
from preprocess.features.batch import STATUSES, batch_rows, stock_indices
from preprocess.features.row import Status
from preprocess.market.calendar import day_number
from preprocess.market.columns import MarketColumns
from preprocess.serving import live as live_module
from preprocess.serving.live import LiveMarket, _Base
from preprocess.store import Store
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import bars, weekdays
from tests.preprocess.store.markets import fill

CODES = [f"50{number:04d}" for number in range(12)]
WIRE = [code.encode() for code in CODES]
LAST = day_number(weekdays(60)[-1])


@pytest.fixture
def filled(store: SQLiteStore) -> SQLiteStore:
    fill(store, CODES)
    return store


@pytest.fixture
def market(filled: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveMarket]:
    """A market that makes a new base as soon as four stocks are touched."""
    monkeypatch.setattr(live_module, "_REBASE_FROM", 4)
    monkeypatch.setattr(live_module, "_REBASE_PAUSE_S", 0.0)
    opened = LiveMarket(lambda: SQLiteStore(filled.path))
    yield opened
    opened.close()


def correct(store: SQLiteStore, codes: list[str], close: float) -> None:
    with store.transaction() as writer:
        for code in codes:
            writer.put_prices(bars(code, [close + row % 3 for row in range(60)]))


def check(market: LiveMarket, store: SQLiteStore, day: int = LAST) -> None:
    """Every stock is answered as from the database, bit by bit."""
    market.refresh()
    days = np.full(len(WIRE), day, dtype=np.int32)
    columns = store.columns()
    expected = batch_rows(columns, stock_indices(columns, WIRE), days)
    found = market.rows(WIRE, days)
    assert found.values.tobytes() == expected.values.tobytes()
    assert found.as_of.tolist() == expected.as_of.tolist()
    for index, code in enumerate(WIRE):
        ready = market.ready_row(code, day)
        if ready is not None:
            np.testing.assert_array_equal(ready[0], expected.values[index].astype(np.float32))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_rows_of_the_newest_day_are_there_before_they_are_asked_for(
    market: LiveMarket, filled: SQLiteStore
) -> None:
    ready = market.ready_row(WIRE[0], LAST)
    assert ready is not None
    assert (ready[1], ready[2]) == (weekdays(60)[-1].isoformat().encode(), b"OK")
    assert market.ready_row(WIRE[0], LAST - 1) is None
    assert market.ready_row(b"999999", LAST) is None
    correct(filled, CODES[:1], 70.0)
    market.refresh()
    assert market.ready_row(WIRE[0], LAST) is None
    assert market.ready_row(WIRE[1], LAST) is not None
    check(market, filled)


def test_a_stock_that_changes_once_more_is_read_once_more(
    market: LiveMarket, filled: SQLiteStore
) -> None:
    for close in (70.0, 80.0):
        correct(filled, CODES[:1], close)
        check(market, filled)


def test_a_new_base_is_made_and_holds_what_came_meanwhile(
    market: LiveMarket, filled: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _Base.of

    def overtaken(columns: MarketColumns) -> _Base:
        correct(filled, CODES[7:9], 33.0)  # committed while the base is being made
        return made(columns)

    monkeypatch.setattr(_Base, "of", overtaken)
    correct(filled, CODES[:6], 60.0)
    market.refresh()
    assert market.ready_row(WIRE[0], LAST) is None
    wait_for(lambda: market._next_base is not None)
    monkeypatch.setattr(_Base, "of", made)
    check(market, filled)
    assert market.ready_row(WIRE[0], LAST) is not None, "the new base is not in use"
    assert market.ready_row(WIRE[7], LAST) is None, "what came meanwhile is not fresh"


def test_what_was_noted_while_a_base_was_made_is_not_forgotten(
    market: LiveMarket, filled: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _Base.of
    has_read, may_go_on = threading.Event(), threading.Event()

    def slow(columns: MarketColumns) -> _Base:
        has_read.set()
        assert may_go_on.wait(60.0)
        return made(columns)

    monkeypatch.setattr(_Base, "of", slow)
    correct(filled, CODES[:6], 60.0)
    market.refresh()
    assert has_read.wait(60.0)
    correct(filled, CODES[7:8], 33.0)
    check(market, filled)
    may_go_on.set()
    wait_for(lambda: market._next_base is not None)
    check(market, filled)
    assert market.ready_row(WIRE[0], LAST) is not None, "the new base is not in use"


def test_with_a_new_base_the_change_log_is_asked_at_once(
    filled: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short ago it was asked before: a commit may have come after the base was read."""

    class SeldomAsked(SQLiteStore):
        poll_interval_s = 60.0

    now = 1_000.0
    monkeypatch.setattr(live_module, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(live_module, "_REBASE_FROM", 4)
    market = LiveMarket(lambda: SeldomAsked(filled.path))
    correct(filled, CODES[:6], 60.0)
    now += 61.0
    market.refresh()
    wait_for(lambda: market._next_base is not None)
    correct(filled, CODES[7:8], 33.0)
    check(market, filled)
    market.close()


def test_a_new_day_for_all_stocks_is_visible_at_once(
    market: LiveMarket, filled: SQLiteStore
) -> None:
    day = date(2024, 4, 1)
    with filled.transaction() as writer:
        for code in CODES:
            writer.put_prices(bars(code, [99.0], day))
    check(market, filled, day_number(day))
    wait_for(lambda: market._next_base is not None)
    check(market, filled, day_number(day))
    assert market.ready_row(WIRE[3], day_number(day)) is not None


def test_a_base_that_cannot_be_made_leaves_the_old_one(
    filled: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "_REBASE_FROM", 1)
    monkeypatch.setattr(live_module, "_REBASE_PAUSE_S", 0.0)
    stores: list[Store] = [SQLiteStore(filled.path)]

    def opener() -> Store:
        if not stores:
            raise StoreError("no more")
        return stores.pop()

    market = LiveMarket(opener)
    correct(filled, CODES[:3], 45.0)
    for _ in range(3):
        check(market, filled)
    market.close()


def test_a_market_without_a_price_answers(store: SQLiteStore) -> None:
    market = LiveMarket(lambda: SQLiteStore(store.path))
    rows = market.rows([b"500001"], np.array([LAST], dtype=np.int32))
    assert STATUSES[rows.status[0]] is Status.UNKNOWN_STOCK
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [5.0] * 20))
    market.refresh()
    rows = market.rows([b"500001"], np.array([LAST], dtype=np.int32))
    assert STATUSES[rows.status[0]] is Status.SHORT_HISTORY
    market.close()
