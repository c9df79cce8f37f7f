"""Labels and monthly stamps by hand-made cases."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.features.derive import refresh_derived
from preprocess.features.labels import at_upper_limit, circuit_labels
from preprocess.features.stamps import extended_sector_codes, market_cap_cr, tiers
from preprocess.market.values import CircuitLabel, CorporateAction, PriceBand, Stock, StockHistory
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import MONDAY, bars, history, prices, result, weekdays

DAYS = weekdays(10)


def _announced(day: date, close: list[float], **parts: object) -> StockHistory:
    return history("500001", prices(close), results=(result(2024, 3, announced=day),), **parts)


@pytest.mark.parametrize(("following", "label"), [(105.0, 1), (104.99, 0), (95.0, 0)])
def test_label_is_the_next_close_against_the_announcement_day(following: float, label: int) -> None:
    stock = _announced(DAYS[4], [90.0] * 4 + [100.0, following] + [200.0] * 4)
    (found,) = circuit_labels(stock, circuit_pct=5.0)
    change = round(following - 100.0, 2)
    assert found == CircuitLabel(DAYS[4], DAYS[5], change, label, found.upper_circuit)


def test_an_announcement_on_a_closed_day_counts_from_the_day_before() -> None:
    saturday = DAYS[4] + timedelta(days=1)
    (label,) = circuit_labels(_announced(saturday, [100.0] * 5 + [106.0] * 5), circuit_pct=5.0)
    assert (label.earnings_date, label.next_day_date, label.label) == (saturday, DAYS[5], 1)


def test_a_split_overnight_is_no_fall() -> None:
    split = CorporateAction(DAYS[5], "split", 10.0)
    stock = _announced(DAYS[4], [100.0] * 5 + [10.6] * 5, actions=(split,))
    (label,) = circuit_labels(stock, circuit_pct=5.0)
    assert label.price_change_pct == pytest.approx(6.0)
    assert label.label == 1


@pytest.mark.parametrize(("ex_date", "count"), [(5, 0), (4, 1), (6, 1)])
def test_across_a_demerger_there_is_no_label(ex_date: int, count: int) -> None:
    apart = CorporateAction(DAYS[ex_date], "demerger", None)
    stock = _announced(DAYS[4], [100.0] * 5 + [60.0] * 5, actions=(apart,))
    assert len(circuit_labels(stock, circuit_pct=5.0)) == count


def test_no_label_before_the_outcome_or_without_a_date() -> None:
    assert circuit_labels(_announced(DAYS[9], [100.0] * 10), circuit_pct=5.0) == []
    assert circuit_labels(_announced(MONDAY - timedelta(1), [1.0] * 10), circuit_pct=5.0) == []
    undated = history("500001", prices([1.0] * 10), results=(result(2024, 3, announced=None),))
    assert circuit_labels(undated, circuit_pct=5.0) == []


@pytest.mark.parametrize(("pause", "count"), [(10, 1), (11, 0)])
def test_a_stock_that_did_not_trade_gives_no_label(pause: int, count: int) -> None:
    days = [*DAYS[:5], DAYS[4] + timedelta(days=pause)]
    stock = history(
        "500001", prices([1.0] * 6, days=days), results=(result(2024, 3, announced=DAYS[4]),)
    )
    assert len(circuit_labels(stock, circuit_pct=5.0)) == count
    late = history(
        "500001",
        prices([1.0] * 6, days=[*days[:5], days[5] + timedelta(days=1)]),
        results=(result(2024, 3, announced=days[5]),),
    )
    assert len(circuit_labels(late, circuit_pct=5.0)) == count


def test_market_cap_is_close_by_eps_times_profit() -> None:
    # PAT 10 crore at 2 rupees a share: 5 crore shares at 30 rupees
    stock = history("500001", prices([30.0] * 5), results=(result(2024, 2, pat=10.0, eps=2.0),))
    assert market_cap_cr(stock, DAYS[4]) == 150.0
    assert market_cap_cr(stock, MONDAY - timedelta(days=1)) is None


@pytest.mark.parametrize(("pat", "eps"), [(10.0, 0.0), (10.0, -1.0), (10.0, float("nan")), (0, 1)])
def test_no_market_cap_without_shares(pat: float, eps: float) -> None:
    stock = history("500001", prices([30.0] * 5), results=(result(2024, 2, pat=pat, eps=eps),))
    assert market_cap_cr(stock, DAYS[4]) is None


def test_tiers_by_rank() -> None:
    caps: list[float | None] = [float(1000 - rank) for rank in range(300)]
    caps.insert(50, None)
    found = tiers(caps)
    assert found[50] is None
    known = [tier for tier in found if tier is not None]
    assert known == [2] * 100 + [1] * 150 + [0] * 50


def test_a_sector_code_never_changes() -> None:
    stocks = [Stock("1", industry="Zinc"), Stock("2", industry="Autos"), Stock("3")]
    first = extended_sector_codes({}, stocks)
    assert first == {"Autos": 0, "Zinc": 1}
    later = extended_sector_codes(first, [*stocks, Stock("4", industry="Banks")])
    assert later == {"Autos": 0, "Zinc": 1, "Banks": 2}


def test_derived_tables_follow_the_data(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        writer.put_stocks([Stock("500001", industry="Steel")])
        writer.put_prices(bars("500001", [100.0] * 5 + [106.0] * 25))
        writer.put_results([("500001", result(2024, 2, announced=DAYS[4]))])
        refresh_derived(writer, circuit_pct=5.0)
    found = store.history("500001")
    assert found is not None
    assert [label.label for label in found.labels] == [1]
    assert [(stamp.month, stamp.market_cap_tier) for stamp in found.statics] == [
        ("2024-01", None),
        ("2024-02", 2),
    ]
    # a correction of the base close takes the label back, and nothing else moves
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [100.0] * 4 + [104.0]))
        refresh_derived(writer, circuit_pct=5.0)
    corrected = store.history("500001")
    assert corrected is not None
    assert [label.label for label in corrected.labels] == [0]
    assert corrected.statics == found.statics
    # and one of the session after gives it back
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [110.0], DAYS[5]))
        refresh_derived(writer, circuit_pct=5.0)
    again = store.history("500001")
    assert again is not None
    assert [label.label for label in again.labels] == [1]


def test_a_stamp_rests_on_what_was_known_before_its_month(store: SQLiteStore) -> None:
    first = date(2024, 2, 1)
    with store.transaction() as writer:
        writer.put_stocks([Stock("500001", industry="Steel")])
        writer.put_prices(bars("500001", [30.0] * 45))
        writer.put_prices(bars("500001", [60.0], first))
        writer.put_results([("500001", result(2024, 3, announced=first, pat=10.0, eps=2.0))])
        refresh_derived(writer, circuit_pct=5.0)
    found = store.history("500001")
    assert found is not None
    assert [(stamp.month, stamp.market_cap_cr) for stamp in found.statics] == [
        ("2024-01", None),
        ("2024-02", None),
        ("2024-03", 150.0),
    ]


def test_nothing_touched_derives_nothing(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        refresh_derived(writer, circuit_pct=5.0)
    assert store.mark().sequence == 0


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    announced=st.lists(st.integers(0, 90), min_size=1, max_size=4, unique=True),
    changes=st.lists(
        st.tuples(st.booleans(), st.integers(0, 90), st.integers(1, 25), st.floats(50.0, 150.0)),
        max_size=6,
    ),
)
def test_labels_are_those_of_the_data_after_any_changes_of_bars(
    tmp_path_factory: pytest.TempPathFactory,
    announced: list[int],
    changes: list[tuple[bool, int, int, float]],
) -> None:
    """Stocks whose labels cannot differ are left out; whether that is so is the question here."""
    store = SQLiteStore(tmp_path_factory.mktemp("labels") / "market.db", write=True)
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [100.0 + row % 9 for row in range(40)]))
        for number, offset in enumerate(sorted(announced)):
            on = MONDAY + timedelta(days=offset)
            writer.put_results([("500001", result(2024, number + 1, announced=on))])
        refresh_derived(writer, circuit_pct=5.0)
    for delete, first, count, close in changes:
        day = MONDAY + timedelta(days=first)
        with store.transaction() as writer:
            if delete:
                writer.delete_prices("500001", day, day + timedelta(days=count))
            else:
                writer.put_prices(bars("500001", [round(close, 2)] * count, day))
            refresh_derived(writer, circuit_pct=5.0)
        found = store.history("500001")
        assert found is not None
        assert list(found.labels) == circuit_labels(found, circuit_pct=5.0)
    store.close()


@pytest.mark.parametrize(
    ("base", "high", "close", "tick", "expected"),
    [
        (651.75, 684.30, 684.30, 5, True),  # 5 %: 684.33, rounded down
        (31.30, 32.85, 32.85, 5, True),
        (95.60, 100.38, 100.38, 1, True),
        (1226.20, 1348.80, 1348.80, 10, True),  # 10 %
        (100.09, 110.09, 110.09, 1, True),
        (165.75, 198.90, 198.90, 5, True),  # 20 %
        (177.10, 212.50, 212.50, 5, True),
        (8.31, 8.70, 8.38, 1, False),  # touched the limit, closed below
        (434.90, 456.60, 442.60, 5, False),
        (1322.35, 1454.75, 1418.45, 5, False),
        (41.02, 43.85, 43.85, 1, False),  # closed at the high, 6.9 % up
        (225.09, 238.98, 238.98, 1, False),
        (0.85, 0.85, 0.85, 5, None),  # a tick is more than the band
        (9.45, 9.00, 9.00, 5, False),  # a lower circuit
    ],
)
def test_an_upper_limit_is_recognised_without_the_band(
    base: float, high: float, close: float, tick: int, expected: bool | None
) -> None:
    """Sessions of the NSE, checked by hand."""
    assert at_upper_limit(base, high, close, tick) is expected


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        ([], 1),
        ([(DAYS[4], 5.0)], 1),
        ([(DAYS[4], 10.0)], 0),
        ([(DAYS[4], None)], 0),  # no band, no limit
        ([(DAYS[3], 10.0), (DAYS[4], 5.0), (DAYS[5], 10.0)], 1),
        ([(DAYS[3], 10.0)], 1),  # of an earlier session: inferred
    ],
)
def test_the_band_of_the_session_decides(
    bands: list[tuple[date, float | None]], expected: int
) -> None:
    stock = _announced(DAYS[4], [100.07] * 5 + [105.07] + [50.0] * 4)
    given = [PriceBand("500001", day, percent, "NSE") for day, percent in bands]
    (label,) = circuit_labels(stock, given, circuit_pct=5.0)
    assert (label.upper_circuit, label.label) == (expected, 0)


def test_a_limit_is_that_of_the_new_share_count_on_an_ex_date() -> None:
    split = CorporateAction(DAYS[5], "split", 2.0)
    stock = _announced(DAYS[4], [210.43] * 5 + [110.47] * 5, actions=(split,))
    (label,) = circuit_labels(stock, circuit_pct=5.0)
    assert label.upper_circuit == 1


def test_adjusted_prices_say_nothing_about_limits() -> None:
    stock = _announced(DAYS[4], [100.07] * 5 + [105.07] * 5)
    adjusted = prices([100.07] * 5 + [105.07] * 5, adjusted=True)
    (label,) = circuit_labels(replace(stock, prices=adjusted), circuit_pct=5.0)
    assert label.upper_circuit is None


def test_a_band_that_comes_later_corrects_the_label(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [100.07] * 5 + [105.07] * 25))
        writer.put_results([("500001", result(2024, 2, announced=DAYS[4]))])
        refresh_derived(writer, circuit_pct=5.0)
    for percent, expected in ((10.0, 0), (5.0, 1)):
        with store.transaction() as writer:
            writer.put_bands([PriceBand("500001", DAYS[4], percent, "NSE")])
            refresh_derived(writer, circuit_pct=5.0)
        found = store.history("500001")
        assert found is not None
        assert [label.upper_circuit for label in found.labels] == [expected]


def _shares(*, stated: date | None, adjusted: bool = False) -> StockHistory:
    """5 crore shares on the announcement's day, 10 crore after the bonus of DAYS[6]."""
    bonus = CorporateAction(DAYS[6], "bonus", 2.0)
    filed = result(2024, 2, pat=10.0, eps=2.0 if stated is None else 1.0)
    stated_then = replace(filed, eps_as_of=stated)
    series = prices([30.0] * 10, adjusted=adjusted)
    return history("500001", series, results=(stated_then,), actions=(bonus,))


@pytest.mark.parametrize("stated", [None, DAYS[9]])
def test_shares_are_those_of_the_day(stated: date | None) -> None:
    stock = _shares(stated=stated)
    assert market_cap_cr(stock, DAYS[5]) == 150.0
    assert market_cap_cr(stock, DAYS[6]) == 300.0
    # An adjusted price is one on the share count of the newest of them.
    adjusted = _shares(stated=stated, adjusted=True)
    assert market_cap_cr(adjusted, DAYS[5]) == 300.0
    to_come = CorporateAction(DAYS[9] + timedelta(days=1), "split", 5.0)
    announced = replace(adjusted, actions=(*adjusted.actions, to_come))
    assert market_cap_cr(announced, DAYS[5]) == 300.0


def test_an_industry_counts_from_the_month_after_it_became_known(store: SQLiteStore) -> None:
    def stamps(code: str) -> list[tuple[str, str | None, int | None]]:
        found = store.history(code)
        assert found is not None
        return [(stamp.month, stamp.sector, stamp.sector_code) for stamp in found.statics]

    def write(*stocks: Stock, closes: int) -> None:
        with store.transaction() as writer:
            writer.put_stocks(stocks)
            for code in ("500001", "500002"):
                writer.put_prices(bars(code, [100.0] * closes))
            refresh_derived(writer, circuit_pct=5.0)

    write(closes=10)
    assert stamps("500001") == [("2024-01", None, None)]
    write(Stock("500001", industry="Zinc"), Stock("500002", industry="Banks"), closes=10)
    assert stamps("500001") == [("2024-01", "Zinc", 1)]  # what was not known is filled
    # The only stock of a sector leaves it; its code is not given away.
    write(Stock("500001", industry="Steel"), closes=30)
    assert stamps("500001") == [("2024-01", "Zinc", 1), ("2024-02", "Steel", 2)]
    write(Stock("500001", industry="Zinc"), Stock("500002", industry="Tea"), closes=60)
    assert stamps("500001")[-1] == ("2024-03", "Zinc", 1)
    assert stamps("500002") == [
        ("2024-01", "Banks", 0),
        ("2024-02", "Banks", 0),
        ("2024-03", "Tea", 3),
    ]
    assert store.sector_codes() == {"Banks": 0, "Zinc": 1, "Steel": 2, "Tea": 3}


def test_a_restatement_announces_its_quarter_no_second_time() -> None:
    states = (result(2024, 3, announced=DAYS[2]), result(2024, 3, announced=DAYS[5], pat=1.0))
    stock = history("500001", prices([100.0] * 10), results=states)
    assert [label.earnings_date for label in circuit_labels(stock, circuit_pct=5.0)] == [DAYS[2]]
