"""Compacting the change log: no reader misses a change or has to read the market again."""

from contextlib import closing
from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preprocess.market.values import Mark
from preprocess.store import Store, open_upkeep
from preprocess.store.upkeep import KEPT_MARKS
from tests.builders import MONDAY, bars
from tests.preprocess.store.markets import TestDatabase


def compact(database: TestDatabase) -> int:
    with closing(open_upkeep(database.settings())) as upkeep:
        return upkeep.compact_change_log()


def changed(store: Store, sequence: int) -> dict[str, date]:
    """What a reader that has seen `sequence` is told: each stock's first day."""
    told: dict[str, date] = {}
    for change in store.changes_since(sequence):
        told[change.bse_code] = min(change.first_day, told.get(change.bse_code, date.max))
    return told


change = st.tuples(st.sampled_from(["000001", "000002", "000003"]), st.integers(0, 50))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(transactions=st.lists(st.lists(change, min_size=1, max_size=4), min_size=1, max_size=6))
def test_every_reader_still_sees_every_changed_stock(
    database: TestDatabase, store: Store, transactions: list[list[tuple[str, int]]]
) -> None:
    begun = store.mark().sequence
    marks: list[Mark] = []
    for number, transaction in enumerate(transactions):
        with store.transaction() as writer:
            for code, offset in transaction:
                day = MONDAY + timedelta(days=offset)
                writer.put_prices(bars(code, [1.0 + number + store_value(begun)], first=day))
        marks.append(store.mark())
    before = {sequence: changed(store, sequence) for sequence in range(store.mark().sequence + 1)}
    newest = store.mark()
    compact(database)
    assert store.mark() == newest
    assert all(store.has_mark(mark) for mark in marks)
    for sequence, told in before.items():
        now = changed(store, sequence)
        assert set(now) == set(told)
        assert all(now[code] <= day for code, day in told.items())
    assert compact(database) == 0


def store_value(sequence: int) -> float:
    """Closes that differ from those of the example before."""
    return sequence / 1e6


def test_of_each_stock_the_newest_entry_stays_with_the_least_day(
    database: TestDatabase, store: Store
) -> None:
    evenings = [MONDAY + timedelta(days=7 * week) for week in range(5)]
    for evening in reversed(evenings):
        with store.transaction() as writer:
            for code in ("000001", "000002"):
                writer.put_prices(bars(code, [1.0], first=evening))
    assert compact(database) == 4  # ten entries, of which five are marks and one more is the newest
    assert [(c.sequence, c.bse_code, c.first_day) for c in store.changes_since(8)] == [
        (9, "000001", MONDAY),
        (10, "000002", MONDAY),
    ]
    assert len(store.changes_since(0)) == 6


def test_marks_of_long_ago_go(database: TestDatabase, store: Store) -> None:
    for number in range(3):
        with store.transaction() as writer:
            writer.put_prices(bars("000001", [1.0 + number]))
    oldest = store.changes_since(0)[0]
    fill_log(database, KEPT_MARKS)
    compact(database)
    assert len(store.changes_since(0)) == KEPT_MARKS
    assert store.changes_since(0)[0].sequence > oldest.sequence
    assert changed(store, 0) == {"000001": MONDAY}


def fill_log(database: TestDatabase, entries: int) -> None:
    """Add so many transactions of one stock, by their log entries alone."""
    rows = ", ".join(
        f"('000001', '{(MONDAY + timedelta(days=1)).isoformat()}', '{number:016x}')"
        for number in range(entries)
    )
    database.run(f"INSERT INTO change_log (bse_code, date, token) VALUES {rows}")
