"""A table of features worked out by hand, on series short enough to check with a pencil."""

import math
from datetime import date

import numpy as np
import pytest

from preprocess.features.financial import financial_features
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.features.row import MINIMUM_ROWS, Status
from preprocess.market.values import CircuitLabel, CorporateAction, StaticRow
from tests.builders import history, prices, result, weekdays
from tests.preprocess.features.definition import (
    bollinger,
    circuit_rate,
    event_features,
    macd,
    momentum,
    rsi,
    static_features,
    volume_ratio,
    volume_trend,
)
from tests.preprocess.features.rows import row_of

NAN = math.nan


def test_rsi_of_alternating_gains_and_losses() -> None:
    # 14 changes: seven of +2, seven of -1. Gain 14/14 = 1, loss 7/14 = 0.5, RS 2, RSI 100 - 100/3.
    close = [100.0]
    for number in range(14):
        close.append(close[-1] + (2.0 if number % 2 == 0 else -1.0))
    assert rsi(np.array(close)) == pytest.approx(200.0 / 3.0, rel=1e-12)
    # One more gain of 3: gain (13 + 3)/14, loss 6.5/14.
    close.append(close[-1] + 3.0)
    assert rsi(np.array(close)) == pytest.approx(100.0 * 16.0 / (16.0 + 6.5), rel=1e-12)


def test_macd_of_a_straight_line() -> None:
    # An exponential average of period n trails a line of slope 1 by (n - 1)/2 rows when it starts
    # from the simple average: 12.5 - 5.5 = 7 between the two, for every row; the signal is 7 too.
    line, signal, histogram = macd(np.arange(1.0, 61.0))
    assert [line, signal] == pytest.approx([7.0, 7.0])
    assert histogram == pytest.approx(0.0, abs=1e-12)


def test_bands_of_two_alternating_closes() -> None:
    # 99 and 101 in turn: mean 100, population deviation 1, bands at 98 and 102, close 101.
    close = np.array([99.0, 101.0] * 10)
    assert bollinger(close) == pytest.approx((102.0, 100.0, 98.0, 0.75))


@pytest.mark.parametrize("price", [1.0, 123.45, 0.05, 98_765.4, 3_333_333.33])
def test_a_band_without_width_gives_one_half(price: float) -> None:
    drifting = np.concatenate([np.linspace(price * 0.5, price * 2.0, 300), np.full(25, price)])
    row = row_of(history("500001", prices(drifting.tolist())), weekdays(325)[-1])
    assert row.values[FEATURE_NAMES.index("bb_percent_b")] == 0.5


def test_volume_ratio_is_to_the_thirty_rows_before() -> None:
    volume = np.array([1e9, *([100.0] * 29), 400.0, 550.0])
    assert volume_ratio(volume) == pytest.approx(550.0 / (3300.0 / 30.0))
    assert math.isnan(volume_ratio(np.array([0.0] * 30 + [5.0])))


def test_momentum_is_percent_over_rows() -> None:
    close = np.array([80.0, 1.0, 2.0, 3.0, 4.0, 100.0])
    assert momentum(close, 5) == pytest.approx(25.0)


ASKED = date(2024, 8, 14)  # results of Q1 FY2025 (to 2024-06-30) are out since 2024-07-30


@pytest.mark.parametrize(
    ("now", "year_ago", "expected"),
    [
        # revenue 120 on 100; PAT 15 on 10; margins 18/120, 15/120; EPS 1.5 on 1; 50 % > 20 %
        (
            {"revenue": 120.0, "pat": 15.0, "operating": 18.0, "eps": 1.5},
            {},
            [20.0, 50.0, 15.0, 12.5, 50.0, 1.0],
        ),
        # exactly 20 % is no surprise
        (
            {"revenue": 120.0, "pat": 12.0, "operating": 12.0, "eps": 1.2},
            {},
            [20.0, 20.0, 10.0, 10.0, 20.0, 0.0],
        ),
        # a loss of 10 becomes a profit of 5: (5 - -10)/10
        (
            {"pat": 5.0, "eps": 0.5},
            {"pat": -10.0, "eps": -1.0},
            [0.0, 150.0, 15.0, 5.0, 150.0, 1.0],
        ),
        # no revenue a year ago, no profit either, no EPS: nothing to grow from
        (
            {},
            {"revenue": 0.0, "pat": 0.0, "eps": 0.0},
            [NAN, NAN, 15.0, 10.0, NAN, NAN],
        ),
        # no revenue now: no margins, and a fall of 100 %
        ({"revenue": 0.0}, {}, [-100.0, 0.0, NAN, NAN, 0.0, 0.0]),
    ],
)
def test_financial_features_by_hand(
    now: dict[str, float], year_ago: dict[str, float], expected: list[float]
) -> None:
    results = [result(2025, 1, **now), result(2024, 1, **year_ago)]  # type: ignore[arg-type]  # figures only
    assert financial_features(results, ASKED) == pytest.approx(expected, nan_ok=True)


def test_a_year_ago_is_found_by_label_and_not_by_position() -> None:
    # Q2 FY2024 is not there: four positions back lies Q4 FY2023, which must not be taken.
    others = [(2025, 1), (2024, 4), (2024, 3), (2023, 4)]
    results = [result(year, quarter, revenue=100.0) for year, quarter in others]
    assert math.isnan(financial_features(results, ASKED)[0])
    results.append(result(2024, 1, revenue=50.0))
    assert financial_features(results, ASKED)[0] == 100.0


def test_results_count_from_their_announcement_on() -> None:
    old, new = result(2024, 4, revenue=100.0), result(2025, 1, revenue=200.0, operating=20.0)
    assert new.announced_on is not None
    eve = date.fromordinal(new.announced_on.toordinal() - 1)
    assert financial_features([old, new], eve)[2] == 15.0
    assert financial_features([old, new], new.announced_on)[2] == 10.0


def test_results_without_a_date_count_from_the_filing_limit() -> None:
    first = result(2025, 1, announced=None)  # period ends 2024-06-30: 45 days
    assert financial_features([first], date(2024, 8, 13)) == pytest.approx([NAN] * 6, nan_ok=True)
    assert financial_features([first], date(2024, 8, 14))[2] == 15.0
    fourth = result(2024, 4, announced=None)  # period ends 2024-03-31: 60 days
    assert math.isnan(financial_features([fourth], date(2024, 5, 29))[2])
    assert financial_features([fourth], date(2024, 5, 30))[2] == 15.0


def test_event_features_of_the_day_itself() -> None:
    days = weekdays(26)
    volume = [50.0] + [100.0] * 15 + [300.0] * 5 + [200.0] * 4 + [900.0]
    series = prices([100.0] * 25 + [103.0], opening=[100.0] * 26, volume=volume, days=days)
    # the 20 rows before: 11 of 100, 5 of 300, 4 of 200 = 3400/20; trend: (4x200 + 300)/5 to
    # (4x300 + 11x100)/15
    values = event_features(series, [], days[-1])
    assert values[0] == pytest.approx(3.0)
    assert values[1] == pytest.approx(900.0 / 170.0)
    assert values[2] == pytest.approx((1100.0 / 5.0) / (2300.0 / 15.0))


def test_event_features_without_a_row_on_the_day() -> None:
    days = weekdays(21)
    series = prices([100.0] * 21, volume=[100.0] * 16 + [200.0] * 5, days=days)
    values = event_features(series, [], date(2024, 3, 1))
    assert values == pytest.approx([NAN, NAN, 2.0, NAN], nan_ok=True)


def test_volume_trend_needs_twenty_rows_with_volume() -> None:
    assert math.isnan(volume_trend(prices([1.0] * 19)))
    assert math.isnan(volume_trend(prices([1.0] * 20, volume=[0.0] * 20)))


def _label(day: str, outcome: int) -> CircuitLabel:
    earned = date.fromisoformat(day)
    return CircuitLabel(earned, date.fromordinal(earned.toordinal() + 1), 0.0, outcome)


def test_circuit_rate_counts_its_own_quarter_of_three_years() -> None:
    labels = [
        _label("2021-08-13", 1),  # a day more than three years before
        _label("2021-08-14", 1),
        _label("2022-07-30", 0),
        _label("2023-09-30", 1),
        _label("2023-10-01", 0),  # the quarter after
        _label("2024-08-12", 0),
        _label("2024-08-14", 1),  # the day itself: not known
    ]
    assert circuit_rate(labels, ASKED) == pytest.approx(2 / 4)
    assert circuit_rate(labels, date(2024, 8, 12)) == pytest.approx(3 / 4)
    assert math.isnan(circuit_rate(labels, date(2024, 1, 10)))


def test_static_features_take_the_stamp_that_was_current() -> None:
    stamps = [
        StaticRow("2024-05", "Steel", 4, 10.0, 0),
        StaticRow("2024-08", "Steel", 4, None, None),
        StaticRow("2024-09", "Steel", 4, 900.0, 2),
    ]
    assert static_features(stamps, date(2024, 4, 30)) == pytest.approx([NAN, NAN], nan_ok=True)
    assert static_features(stamps, date(2024, 7, 31)) == [4.0, 0.0]
    assert static_features(stamps, ASKED) == pytest.approx([4.0, NAN], nan_ok=True)


def test_short_history_has_no_row() -> None:
    days = weekdays(MINIMUM_ROWS)
    stock = history("500001", prices([100.0] * MINIMUM_ROWS, days=days))
    assert row_of(stock, days[-1]).status is Status.OK
    row = row_of(stock, days[-2])
    assert (row.status, row.as_of) == (Status.SHORT_HISTORY, None)
    assert np.isnan(row.values).all()


def test_as_of_is_the_newest_row_used() -> None:
    days = weekdays(40)
    row = row_of(history("500001", prices([100.0] * 40)), date(2030, 1, 1))
    assert row.as_of == days[-1]


def test_a_split_takes_effect_on_its_ex_date_and_not_before() -> None:
    days = weekdays(60)
    close = [1000.0] * 50 + [100.0] * 10
    split = CorporateAction(days[50], "split", 10.0)
    stock = history("500001", prices(close), actions=(split,))
    eve, ex_date = row_of(stock, days[49]).values, row_of(stock, days[50]).values
    index = FEATURE_NAMES.index
    assert eve[index("bb_middle")] == 1000.0
    assert ex_date[index("bb_middle")] == pytest.approx(100.0)
    assert ex_date[index("momentum_5d")] == pytest.approx(0.0)
    assert ex_date[index("volume_ratio")] == pytest.approx(0.1)


def test_a_split_on_the_second_day_moves_the_first_row() -> None:
    split = CorporateAction(weekdays(2)[1], "split", 10.0)
    stock = history("500001", prices([1000.0] + [100.0] * 39), actions=(split,))
    values = row_of(stock, weekdays(40)[-1]).values
    assert values[FEATURE_NAMES.index("macd_line")] == pytest.approx(0.0, abs=1e-9)


def test_rows_adjusted_by_their_source_are_left_alone() -> None:
    days = weekdays(60)
    split = CorporateAction(days[50], "split", 10.0)
    stock = history("500001", prices([100.0] * 60, adjusted=True), actions=(split,))
    values = row_of(stock, days[-1]).values
    assert values[FEATURE_NAMES.index("momentum_30d")] == 0.0


def test_what_float32_cannot_hold_is_missing() -> None:
    results = (result(2025, 1, revenue=1e300), result(2024, 1, revenue=1e-9))
    stock = history("500001", prices([100.0] * 40), results=results)
    values = row_of(stock, ASKED).values
    assert math.isnan(values[FEATURE_NAMES.index("revenue_growth_yoy")])
    assert not np.isinf(values.astype(np.float32)).any()
