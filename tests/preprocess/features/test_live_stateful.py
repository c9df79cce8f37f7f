"""Any sequence of imports, corrections, deletions and crashes: memory == database."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from preprocess.features.batch import batch_rows
from preprocess.market.calendar import day_number
from preprocess.market.columns import columns_of
from preprocess.market.values import CircuitLabel, CorporateAction, StaticRow, Stock
from preprocess.serving.live import LiveMarket
from preprocess.store import Store
from preprocess.store.postgres.store import PostgresStore
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import MONDAY, bars, result, weekdays
from tests.postgres import PostgresServer
from tests.preprocess.store.markets import assert_same_columns

CODES = [f"50000{number}" for number in range(6)]
ASKED = day_number(MONDAY) + 100

codes = st.sampled_from(CODES)
days = st.integers(0, 120).map(lambda number: MONDAY + timedelta(days=number))
closes = st.floats(1.0, 900.0).map(lambda close: round(close, 2))


class CrashError(Exception):
    """Stands for the end of the process at that point."""


@contextmanager
def market_in_sqlite() -> Iterator[Callable[[], Store]]:
    """How to open a new market, which goes with its file."""
    with TemporaryDirectory(prefix="tezi-stateful-") as folder:
        yield lambda: SQLiteStore(Path(folder) / "market.db", write=True)


class MarketMachine(RuleBasedStateMachine):
    """One writer, and one reader that lives through it all."""

    def __init__(self, market: Callable[[], AbstractContextManager[Callable[[], Store]]]) -> None:
        super().__init__()
        self.held = ExitStack()
        opener = self.held.enter_context(market())
        self.store = self.held.enter_context(closing(opener()))
        self.live = self.held.enter_context(closing(LiveMarket(opener)))

    def teardown(self) -> None:
        self.held.close()

    @rule(code=codes, close=closes, count=st.integers(1, 80), first=days)
    def import_prices(self, code: str, close: float, count: int, first: date) -> None:
        with self.store.transaction() as writer:
            writer.put_prices(bars(code, [close + row % 5 for row in range(count)], first))

    @rule(close=closes, day=days)
    def import_a_day_of_all(self, close: float, day: date) -> None:
        with self.store.transaction() as writer:
            for code in CODES:
                writer.put_prices(bars(code, [close], day))

    @rule(code=codes, first=days, length=st.integers(0, 60))
    def delete(self, code: str, first: date, length: int) -> None:
        with self.store.transaction() as writer:
            writer.delete_prices(code, first, first + timedelta(days=length))

    @rule(code=codes, revenue=closes, quarter=st.integers(1, 4))
    def import_results(self, code: str, revenue: float, quarter: int) -> None:
        with self.store.transaction() as writer:
            writer.put_stocks([Stock(code)])
            writer.put_results([(code, result(2024, quarter, revenue=revenue))])

    @rule(code=codes, ex_date=days, kind=st.sampled_from(["split", "rights"]))
    def import_action(self, code: str, ex_date: date, kind: str) -> None:
        with self.store.transaction() as writer:
            writer.put_stocks([Stock(code)])
            writer.put_actions([(code, CorporateAction(ex_date, kind, 2.0, kind))])

    @rule(code=codes, announced=st.lists(days, max_size=3, unique=True), tier=st.integers(0, 2))
    def derive(self, code: str, announced: list[date], tier: int) -> None:
        with self.store.transaction() as writer:
            writer.put_stocks([Stock(code)])
            writer.replace_labels(
                code,
                [CircuitLabel(day, day + timedelta(days=1), 1.0, 0) for day in sorted(announced)],
            )
            writer.put_statics([(code, StaticRow("2024-03", "Steel", 1, 2.0, tier))])

    @rule(code=codes, close=closes)
    def fail_in_a_transaction(self, code: str, close: float) -> None:
        with suppress(CrashError), self.store.transaction() as writer:
            writer.put_prices(bars(code, [close] * 90))
            raise CrashError

    @rule(code=codes, close=closes)
    def undo_a_part(self, code: str, close: float) -> None:
        with self.store.transaction() as writer:
            with suppress(CrashError), writer.savepoint():
                writer.put_prices(bars(code, [close] * 90))
                raise CrashError
            writer.put_prices(bars(code, [close], weekdays(1)[0]))

    @invariant()
    def the_database_agrees_with_itself(self) -> None:
        histories = list(self.store.histories())
        assert_same_columns(self.store.columns(), columns_of(histories, self.store.mark()))

    @invariant()
    def memory_answers_as_the_database_would(self) -> None:
        wanted = [code.encode() for code in [*CODES, "999999", CODES[0]]]
        asked = np.full(len(wanted), ASKED, dtype=np.int32)
        self.live.refresh()
        found = self.live.rows(wanted, asked)
        market = self.store.columns()
        places = np.array([market.index_by_code.get(code, -1) for code in wanted])
        expected = batch_rows(market, places, asked)
        assert found.status.tolist() == expected.status.tolist()
        assert found.as_of.tolist() == expected.as_of.tolist()
        assert found.values.tobytes() == expected.values.tobytes()


def run(market: Callable[[], AbstractContextManager[Callable[[], Store]]], examples: int) -> None:
    run_state_machine_as_test(
        cast("type[RuleBasedStateMachine]", partial(MarketMachine, market)),  # it is only called
        settings=settings(
            max_examples=examples, stateful_step_count=25, deadline=None, derandomize=True
        ),
    )


def test_any_sequence_on_sqlite() -> None:
    run(market_in_sqlite, examples=25)


def test_any_sequence_on_postgresql(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresStore, "poll_interval_s", 0.0)  # asked at each step, as SQLite is

    @contextmanager
    def market() -> Iterator[Callable[[], Store]]:
        with postgres_server.database() as url:
            yield lambda: PostgresStore(url, write=True, pool_size=2)

    run(market, examples=10)
