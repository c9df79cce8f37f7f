"""Every store: what is written is read back, whole or not at all."""

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date

import pytest

from preprocess.database_url import SQLiteURL
from preprocess.errors import StoreError
from preprocess.market.columns import columns_of
from preprocess.market.values import (
    Bar,
    CircuitLabel,
    CorporateAction,
    Mark,
    StaticRow,
    Stock,
    Tally,
)
from preprocess.store import Store, Writer
from tests.builders import MONDAY, bars, result
from tests.integration.stack import environment
from tests.preprocess.store.markets import TestDatabase, assert_same_columns


def test_everything_written_is_read_back(store: Store) -> None:
    action = CorporateAction(date(2024, 1, 3), "split", 5.0, "10 to 2")
    label = CircuitLabel(date(2024, 1, 2), date(2024, 1, 3), 6.5, 1)
    stamp = StaticRow("2024-01", "Steel", 3, 1234.5, 2)
    stock = Stock("012345", "ABC", "A B C Ltd", "INE000A01010", "Steel")
    with store.transaction() as writer:
        writer.put_stocks([stock])
        writer.put_sectors({"Steel": 3})
        writer.put_sectors({"Steel": 4})
        writer.put_prices(bars("012345", [10.0, 10.5, 11.0]))
        writer.put_results([("012345", result(2024, 2, eps=math.nan))])
        writer.put_actions([("012345", action)])
        writer.put_statics([("012345", stamp)])
        writer.replace_labels("012345", [label])
    found = store.history("012345")
    assert found is not None
    assert found.prices.close.tolist() == [10.0, 10.5, 11.0]
    assert found.prices.days.tolist() == [19723, 19724, 19725]
    assert not found.prices.adjusted.any()
    assert (found.actions, found.labels, found.statics) == ((action,), (label,), (stamp,))
    assert math.isnan(found.results[0].eps)
    assert replace(found.results[0], eps=1.0) == result(2024, 2)
    assert store.stocks() == [stock]
    assert store.sector_codes() == {"Steel": 3}
    assert store.listings()[0].newest_price == date(2024, 1, 3)


def test_unknown_stock_has_no_history(store: Store) -> None:
    assert store.history("999999") is None
    assert list(store.histories(["999999"])) == []


def test_tally_and_change_log_tell_new_changed_and_same(store: Store) -> None:
    with store.transaction() as writer:
        tally = writer.put_prices(bars("500001", [1.0, 2.0, 3.0]))
    assert (tally.added, tally.changed, tally.unchanged) == (3, 0, 0)
    with store.transaction() as writer:
        tally = writer.put_prices(bars("500001", [1.0, 2.5, 3.0, 4.0]))
        assert writer.touched == {"500001": date(2024, 1, 2)}
    assert (tally.added, tally.changed, tally.unchanged) == (1, 1, 2)
    before = store.mark().sequence
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [1.0, 2.5, 3.0, 4.0]))
    assert store.mark().sequence == before
    assert [(c.bse_code, c.first_day) for c in store.changes_since(0)] == [
        ("500001", MONDAY),
        ("500001", date(2024, 1, 2)),
    ]


def test_missing_figures_do_not_erase_known_ones(store: Store) -> None:
    with store.transaction() as writer:
        writer.put_results([("500001", result(2024, 1, revenue=5.0))])
        writer.put_stocks([Stock("500001", "ABC", "Name", None, "Steel")])
    with store.transaction() as writer:
        holed = result(2024, 1, revenue=math.nan, pat=7.0, announced=None)
        assert writer.put_results([("500001", holed)]).changed == 1
        assert writer.put_stocks([Stock("500001", None, None, None, None)]).unchanged == 1
    found = store.history("500001")
    assert found is not None
    assert found.results == (result(2024, 1, revenue=5.0, pat=7.0),)
    assert store.stocks()[0].nse_symbol == "ABC"


def test_an_industry_touches_every_day_and_a_name_no_day(store: Store) -> None:
    with store.transaction() as writer:
        writer.put_stocks([Stock("500001", industry="Steel"), Stock("500002")])
        writer.put_stocks([Stock("500001", company_name="Name")])
    days = {change.bse_code: change.first_day for change in store.changes_since(0)}
    assert days == {"500001": date.min, "500002": date.max}


def test_replaced_labels_are_gone(store: Store) -> None:
    first = CircuitLabel(date(2024, 1, 2), date(2024, 1, 3), 6.5, 1)
    second = CircuitLabel(date(2024, 4, 2), date(2024, 4, 3), 1.5, 0)
    with store.transaction() as writer:
        writer.put_stocks([Stock("500001")])
        writer.replace_labels("500001", [first, second])
    with store.transaction() as writer:
        tally = writer.replace_labels("500001", [second])
        assert writer.touched == {"500001": first.next_day_date}
    assert (tally.changed, tally.unchanged) == (1, 1)
    found = store.history("500001")
    assert found is not None
    assert found.labels == (second,)


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    def fail() -> None:
        with store.transaction() as writer:
            writer.put_prices(bars("500001", [1.0, 2.0]))
            raise KeyError("on purpose")

    with pytest.raises(KeyError):
        fail()
    assert store.span().price_rows == 0
    assert store.mark().sequence == 0


def test_a_savepoint_that_fails_undoes_itself_only(store: Store) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [1.0]))
        with pytest.raises(KeyError):
            _write_part_and_fail(writer)
        assert set(writer.touched) == {"500001"}
    assert store.bse_codes() == ["500001"]


def _write_part_and_fail(writer: Writer) -> None:
    with writer.savepoint():
        writer.put_prices(bars("500002", [1.0]))
        raise KeyError("on purpose")


def test_impossible_rows_are_refused_by_the_schema(store: Store) -> None:
    bad = replace(bars("500001", [1.0])[0], high=0.5)
    with pytest.raises(StoreError, match="refused"):
        _write(store, [bad])
    assert store.bse_codes() == []


def _write(store: Store, rows: list[Bar]) -> None:
    with store.transaction() as writer:
        writer.put_prices(rows)


def test_reader_sees_the_last_commit_while_a_writer_is_at_work(database: TestDatabase) -> None:
    writing, reading = database.open(), database.open(write=False)
    with writing.transaction() as writer:
        writer.put_prices(bars("500001", [1.0]))
        assert reading.bse_codes() == []
    assert reading.bse_codes() == ["500001"]


def test_readers_cannot_write(database: TestDatabase) -> None:
    reading = database.open(write=False)
    with pytest.raises(StoreError, match="cannot be written"):
        _write(reading, bars("500001", [1.0]))


def test_closing_twice_is_fine_and_reading_after_it_is_an_error(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.bse_codes()


def test_a_busy_database_says_so(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preprocess.store.sqlite.store.BUSY_TIMEOUT_S", 0.05)
    monkeypatch.setattr("preprocess.store.postgres.connection.LOCK_TIMEOUT_S", 0.05)
    one, other = database.open(), database.open()
    with one.transaction() as writer:
        writer.put_prices(bars("500001", [1.0]))
        with pytest.raises(StoreError, match="busy"), other.transaction():
            pass
    with other.transaction() as writer:
        assert writer.bse_codes() == ["500001"]


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ("UPDATE schema_migrations SET number = 99 WHERE number = 1", "update Tezi"),
        ("DELETE FROM schema_migrations WHERE number > 1", "tezi migrate"),
    ],
    ids=["newer", "older"],
)
def test_another_schema_is_refused(database: TestDatabase, change: str, advice: str) -> None:
    database.run(change)
    with pytest.raises(StoreError, match=advice):
        database.open(write=False)


def test_a_missing_table_is_an_error(database: TestDatabase) -> None:
    store = database.open()
    database.run("DROP TABLE corporate_actions")
    with pytest.raises(StoreError, match="corporate_actions"):
        store.span()


_WRITE_AND_DIE = """
import os, signal
from preprocess.settings import load_settings
from preprocess.store import open_store
from tests.builders import bars
store = open_store(load_settings(), write=True)
with store.transaction() as writer:
    for number in range(20):
        writer.put_prices(bars(f"5{number:05d}", [1.0 + n for n in range(500)]))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_is_killed_leaves_the_database_as_it_was(database: TestDatabase) -> None:
    store = database.open()
    _write(store, bars("500001", [1.0]))
    killed = subprocess.run(
        [sys.executable, "-c", _WRITE_AND_DIE], env=environment(database.settings()), check=False
    )
    assert killed.returncode == -9
    assert (store.bse_codes(), store.mark().sequence) == (["500001"], 1)
    _write(store, bars("500002", [1.0]))  # the lock went with its process


def test_columns_are_those_of_the_histories(store: Store) -> None:
    days = [date(2023, 12, 28), date(2024, 12, 30)]
    with store.transaction() as writer:
        writer.put_stocks([Stock("500003")])
        for number, code in enumerate(["500002", "500001"], start=1):
            for first in days:  # over two turns of the year
                writer.put_prices(bars(code, [0.1 * number, 0.2, 0.3], first))
            writer.put_results([(code, result(2024, 2, eps=math.nan)), (code, result(2024, 1))])
            writer.put_actions([(code, CorporateAction(days[1], "split", 5.0, "10 to 2"))])
            writer.put_actions([(code, CorporateAction(days[1], "rights", None, "1 for 3"))])
            writer.put_statics([(code, StaticRow("2024-01", "Steel", 3, 0.1, None))])
            writer.replace_labels(code, [CircuitLabel(days[0], date(2023, 12, 29), 6.5, 1)])
    expected = columns_of(store.histories(), store.mark())
    assert_same_columns(store.columns(), expected)
    assert_same_columns(store.columns(["500002", "500001", "999999", "500002", "500003"]), expected)
    many = [f"{number:06d}" for number in range(500_000, 502_500)]  # another way of reading
    assert_same_columns(store.columns(many), expected)
    only = store.columns(["500002"])
    assert_same_columns(only, columns_of(store.histories(["500002"]), store.mark()))
    assert len(store.columns([])) == 0
    assert store.columns([]).mark == store.mark()


def test_columns_follow_corrections_and_deletions(store: Store) -> None:
    _write(store, bars("500001", [1.0, 2.0, 3.0], date(2023, 12, 29)))
    with store.transaction() as writer:
        assert writer.delete_prices("500001", date(2023, 12, 1), date(2023, 12, 31)) == 1
        assert writer.delete_prices("500001", date(2020, 1, 1), date(2020, 12, 31)) == 0
        writer.put_prices(bars("500001", [2.5], date(2024, 1, 1)))
        assert writer.touched == {"500001": date(2023, 12, 29)}
    columns = store.columns()
    assert columns.prices["close"].tolist() == [2.5, 3.0]
    assert columns.prices["day"].tolist() == [19723, 19724]
    assert_same_columns(columns, columns_of(store.histories(), store.mark()))


def test_packs_begin_when_their_stock_is_entered(database: TestDatabase, store: Store) -> None:
    """Rows may be there first: readers of rows see none of a stock that is not listed."""

    def assert_rows_and_packs_agree(codes: list[str]) -> None:
        expected = columns_of(store.histories(), store.mark())
        assert store.bse_codes() == codes
        for found in (store.columns(), store.columns(["500001", "500002"])):
            assert_same_columns(found, expected)

    with store.transaction() as writer:
        writer.put_prices(bars("500001", [1.0, 2.0, 3.0]))
        writer.put_results([("500002", result(2024, 1))])
    assert_rows_and_packs_agree(["500001"])
    with store.transaction() as writer:
        writer.put_stocks([Stock("500002")])
    assert_rows_and_packs_agree(["500001", "500002"])
    assert store.columns(["500002"]).results.rows == 1
    _write(store, bars("500002", [4.0] * 300, date(2022, 11, 1)))
    for table in ("stocks", "price_packs", "stock_packs"):
        database.run(f"DELETE FROM {table} WHERE bse_code = '500002'")
    with store.transaction() as writer:
        writer.put_results([("500002", result(2024, 2))])
    assert_rows_and_packs_agree(["500001"])
    _write(store, bars("500002", [5.0], date(2025, 1, 1)))
    assert_rows_and_packs_agree(["500001", "500002"])
    assert store.columns(["500002"]).prices.rows == 301
    for table in ("stocks", "price_packs", "stock_packs"):
        database.run(f"DELETE FROM {table} WHERE bse_code = '500002'")
    with store.transaction() as writer:
        writer.put_stocks([Stock("500002")])  # nothing of its bars is written
    assert_rows_and_packs_agree(["500001", "500002"])
    assert store.columns(["500002"]).prices.rows == 301


def test_what_one_pack_lacks_another_does_not_make_good(
    database: TestDatabase, store: Store
) -> None:
    """Half a record too little in one year, half a record too much in the next."""
    _write(store, bars("500001", [7.0] * 300, date(2022, 11, 1)))
    longer = (
        "CAST(data || zeroblob(16) AS BLOB)"
        if isinstance(database.url, SQLiteURL)
        else "data || decode(repeat('00', 16), 'hex')"
    )
    database.run(
        "UPDATE price_packs SET data ="
        f" CASE year WHEN 2022 THEN substr(data, 17) ELSE {longer} END",
    )
    for codes in (None, ["500001"]):
        with pytest.raises(StoreError, match="tezi maintain"):
            store.columns(codes)


def test_a_pack_under_another_year_is_an_error(database: TestDatabase, store: Store) -> None:
    _write(store, bars("500001", [7.0] * 300, date(2022, 11, 1)))
    database.run("UPDATE price_packs SET year = 1999 WHERE year = 2023")
    for codes in (None, ["500001"]):
        with pytest.raises(StoreError, match=r"not in the order of their day.*tezi maintain"):
            store.columns(codes)


def test_marks_belong_to_their_log(store: Store) -> None:
    assert store.mark() == Mark()
    assert store.has_mark(Mark())
    _write(store, bars("500001", [1.0]))
    first = store.mark()
    _write(store, bars("500001", [2.0]))
    assert store.mark().sequence == first.sequence + 1
    assert store.has_mark(first)
    assert not store.has_mark(replace(first, token="0" * 16))
    assert not store.has_mark(replace(first, sequence=first.sequence + 9))


def test_text_figures_and_doubles_survive_in_any_number(store: Store) -> None:
    subjects = ["a\tb", "c\\d\n", "\\N", "", "₹ 10 → 2", "'; --", '"x", {y}', "%s $1 ?"]
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 2.0**53 + 1, 100.0, 1e22]
    actions = [
        (
            f"{number:06d}",
            CorporateAction(MONDAY, "bonus", values[number % 7], subjects[number % 8]),
        )
        for number in range(400)
    ]
    with store.transaction() as writer:
        assert writer.put_actions(actions[:56]).added == 56
        tally = writer.put_actions([*actions, *actions[:3]])
        assert (tally.added, tally.unchanged) == (344, 56)
        writer.put_prices([bars(code, [1.0])[0] for code, _ in actions])
    found = {stock.bse_code: stock.actions for stock in store.histories()}
    assert found == {code: (action,) for code, action in actions}


def test_the_later_of_two_rows_with_one_key_counts(store: Store) -> None:
    (first,) = bars("500001", [1.0])
    later = replace(first, close=2.0, high=2.0)
    filling = bars("500002", [1.0] * 150)
    with store.transaction() as writer:
        assert writer.put_prices([first, later]).added == 1
        assert writer.put_prices([*filling, first, later]).unchanged == 1
    found = store.history("500001")
    assert found is not None
    assert found.prices.close.tolist() == [2.0]


def test_nan_and_the_sign_of_zero_are_not_stored(store: Store) -> None:
    filling = [("500002", result(2000 + n // 4, n % 4 + 1)) for n in range(120)]
    odd = result(2024, 1, pat=-0.0, eps=math.nan)
    for rows in ([("500001", odd)], [*filling, ("500003", odd)]):
        with store.transaction() as writer:
            writer.put_stocks([Stock(code) for code, _ in rows])
            writer.put_results(rows)
    for code in ("500001", "500003"):
        (kept,) = next(store.histories([code])).results
        assert math.isnan(kept.eps)
        assert math.copysign(1.0, kept.pat_cr) == 1.0


def test_sequences_are_committed_in_order_with_many_writers(database: TestDatabase) -> None:
    """Four writers at once: a reader that has seen a number has seen all before it."""
    stores = [database.open() for _ in range(4)]
    reading = database.open(write=False)

    def write(number: int) -> None:
        for turn in range(5):
            _write(stores[number], bars(f"50000{number}", [1.0 + turn]))

    seen: list[int] = []
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(write, number) for number in range(4)]
        while not all(future.done() for future in done):
            last = seen[-1] if seen else 0
            seen += [change.sequence for change in reading.changes_since(last)]
        for future in done:
            future.result()
    last = seen[-1] if seen else 0
    seen += [change.sequence for change in reading.changes_since(last)]
    assert seen == [change.sequence for change in reading.changes_since(0)]
    assert len(seen) == 20


def test_threads_share_a_store(store: Store) -> None:
    for code in ("500001", "500002", "500003"):
        _write(store, bars(code, [float(code[-1])] * 30))

    def read(turn: int) -> bool:
        code = f"50000{turn % 3 + 1}"
        found = store.history(code)
        columns = store.columns([code])
        assert found is not None
        return set(found.prices.close) == set(columns.prices["close"]) == {float(code[-1])}

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(read, range(120)))


def test_both_states_of_a_restated_result_are_kept(store: Store) -> None:
    def stored() -> list[tuple[date | None, float, float]]:
        history = store.history("500001")
        assert history is not None
        return [(state.announced_on, state.pat_cr, state.eps) for state in history.results]

    first, later, last = date(2024, 2, 1), date(2024, 5, 1), date(2024, 8, 1)
    filed = result(2024, 3, announced=first, pat=10.0, eps=2.0)
    for state in (
        filed,
        replace(filed, announced_on=later, eps=math.nan),  # a date that was corrected
        filed,
        replace(filed, announced_on=later, pat_cr=8.0, eps=math.nan),
        replace(filed, announced_on=later, pat_cr=7.0, eps=math.nan),  # a correction
    ):
        with store.transaction() as writer:
            writer.put_stocks([Stock("500001")])
            writer.put_results([("500001", state)])
    assert stored() == [(first, 10.0, 2.0), (later, 7.0, 2.0)]
    with store.transaction() as writer:
        writer.put_results([("500001", replace(filed, announced_on=last, pat_cr=6.0))])
    states = [(first, 10.0, 2.0), (later, 7.0, 2.0), (last, 6.0, 2.0)]
    assert stored() == states
    with store.transaction() as writer:  # the first file once more
        assert writer.put_results([("500001", filed)]) == Tally(0, 0, 1)
    assert stored() == states


@pytest.mark.parametrize("together", [False, True])
def test_a_restatement_may_come_before_its_original(store: Store, together: bool) -> None:
    filed = result(2024, 3, announced=date(2024, 2, 1), pat=10.0)
    restated = replace(filed, announced_on=date(2024, 5, 1), pat_cr=8.0)
    with store.transaction() as writer:
        writer.put_stocks([Stock("500001")])
    calls = [[restated, filed]] if together else [[restated], [filed]]
    for states in calls:
        with store.transaction() as writer:
            writer.put_results([("500001", state) for state in states])
    history = store.history("500001")
    assert history is not None
    assert history.results == (filed, restated)


def test_a_file_without_a_column_erases_nothing(store: Store) -> None:
    bar = Bar("500001", date(2024, 1, 2), 9.0, 10.0, 9.0, 10.0, 100, 9.5)
    with store.transaction() as writer:
        writer.put_prices([bar])
    with store.transaction() as writer:
        assert writer.put_prices([replace(bar, prev_close=None)]) == Tally(0, 0, 1)
        writer.put_prices([replace(bar, close=9.8, prev_close=None)])
        assert writer.bars_on(bar.day, ["500001"]) == [replace(bar, close=9.8)]


def test_a_stock_that_only_deleted_prices_told_of_goes_with_them(store: Store) -> None:
    with store.transaction() as writer:
        for code in ("500001", "500002", "500003"):
            writer.put_prices(bars(code, [1.0] * 3))
        writer.put_stocks([Stock("500002", company_name="Listed")])
        writer.put_results([("500003", result(2023, 3))])
        writer.put_statics([("500001", StaticRow("2024-01", None, None, None, None))])
    with store.transaction() as writer:
        for code in ("500001", "500002", "500003"):
            writer.delete_prices(code, date(2024, 1, 2), date(2024, 12, 31))
    assert store.bse_codes() == ["500001", "500002", "500003"]
    mark = store.mark()
    with store.transaction() as writer:
        for code in ("500001", "500002", "500003"):
            writer.delete_prices(code, date.min, date.max)
    assert store.bse_codes() == ["500002", "500003"]
    assert {change.bse_code for change in store.changes_since(mark.sequence)} >= {"500001"}
    assert [code.decode() for code in store.columns().codes.tolist()] == ["500002", "500003"]
    assert store.span().counts["static_features"] == 0
