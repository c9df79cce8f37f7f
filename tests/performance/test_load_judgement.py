"""When requests are due, and what is made of latencies, of memory and of a search's steps."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.performance.load_test.checks import Range
from tests.performance.load_test.generator import Outcome
from tests.performance.load_test.scenario import filling, scenarios
from tests.performance.load_test.schedule import Stretch, constant, due_times
from tests.performance.load_test.search import Step, greatest_rate
from tests.performance.load_test.seconds import Seconds
from tests.performance.load_test.trend import trend


def outcome(due_s: "np.ndarray[tuple[int], np.dtype[np.float64]]", latency_ms: float) -> Outcome:
    count = len(due_s)
    return Outcome(
        began=100.0,
        due_s=due_s,
        latency_ms=np.full(count, latency_ms),
        late_ms=np.zeros(count),
        failed=np.zeros(count, dtype=bool),
        failures={},
        seen={},
        stocks=count,
        cpu_s=0.1,
    )


def test_a_constant_rate_is_evenly_spaced() -> None:
    due = constant(200.0, 3.0)
    assert len(due) == 600
    assert due[0] == 0.0
    assert np.allclose(np.diff(due), 1 / 200)


def test_a_ramp_has_as_many_requests_as_the_area_below_it() -> None:
    due = due_times([Stretch(30, 0, 500), Stretch(10, 500, 500), Stretch(10, 500, 100)])
    assert len(due) == 7_500 + 5_000 + 3_000
    assert (np.diff(due) > 0).all()
    counts = np.histogram(due, bins=np.arange(0, 51))[0]
    assert counts[0] == pytest.approx(500 / 30 / 2, abs=1)
    assert counts[29] == pytest.approx(500 - 500 / 30 / 2, abs=1)
    assert counts[35] == 500
    assert counts[49] == pytest.approx(120, abs=1)


def test_a_pause_has_no_requests() -> None:
    due = due_times([Stretch(1, 10, 10), Stretch(5, 0, 0), Stretch(1, 10, 10)])
    assert len(due) == 20
    assert due[10] == pytest.approx(6.0)


def test_scenarios_keep_their_rates_at_every_scale() -> None:
    for scale, sizes in (
        (1.0, [60_000, 25_500, 150_000, 150_000]),
        (0.1, [6_000, 2_550, 15_000, 15_000]),
    ):
        assert [len(one.due_s()) for one in scenarios(scale)] == sizes
    assert all(one.seconds >= 2.0 for one in scenarios(0.0001))
    assert [one.name for one in scenarios(1.0) if one.on_full_caches] == ["endurance"]


def test_a_gateway_is_filled_by_as_many_requests_as_the_market_has_batches() -> None:
    assert [len(filling(stocks).due_s()) for stocks in (1, 100, 101, 10_780)] == [1, 1, 2, 108]


def test_loads_that_were_joined_lose_no_failure_and_no_answer() -> None:
    first, second = outcome(constant(10.0, 1.0), 1.0), outcome(constant(10.0, 2.0), 2.0)
    pair, other = ("500000", "2026-08-14"), ("500001", "2026-08-14")
    first = replace(first, seen={pair: Range(0.2, 0.3)}, failures={"status 503": 1})
    second = replace(
        second,
        began=103.0,
        seen={pair: Range(0.1, 0.25), other: Range(0.5, 0.5)},
        failures={"status 503": 2, "no probability": 1},
    )
    second.failed[:3] = True
    joined = Outcome.joined([first, second])
    assert (joined.began, joined.due_s[0], joined.due_s[10]) == (100.0, 0.0, 3.0)
    assert joined.latency_ms.tolist() == [1.0] * 10 + [2.0] * 20
    assert joined.errors == 3
    assert joined.failures == {"status 503": 3, "no probability": 1}
    assert joined.seen == {pair: Range(0.1, 0.3), other: Range(0.5, 0.5)}
    assert joined.stocks == 30


def test_recovery_ends_with_the_last_bad_second() -> None:
    made = outcome(constant(100.0, 10.0), 5.0)
    made.latency_ms[(made.due_s >= 1) & (made.due_s < 2)] = 99.0  # on the way up
    assert Seconds.of(made).recovery_s(4.0, 20.0) == 0.0
    made.latency_ms[(made.due_s >= 5) & (made.due_s < 6)] = 99.0
    assert Seconds.of(made).recovery_s(4.0, 20.0) == 2.0
    made.failed[750] = True
    assert Seconds.of(made).recovery_s(4.0, 20.0) == 4.0


def test_seconds_have_the_quantiles_of_their_own_requests() -> None:
    made = outcome(constant(100.0, 3.0), 1.0)
    made.latency_ms[150] = 500.0
    seconds = Seconds.of(made)
    assert seconds.requests.tolist() == [100, 100, 100]
    assert seconds.worst.tolist() == [1, 500, 1]
    assert seconds.p50.tolist() == [1, 1, 1]


def search(held: float, unlucky: int = -1) -> tuple[float, list[float]]:
    """What is found of a service that holds `held` requests a second, and the rates tried."""
    rates: list[float] = []

    def attempt(rate: float, seconds: float) -> Step:
        rates.append(rate)
        slow = rate > held or len(rates) - 1 == unlucky
        return Step(rate, seconds, 1.0, 80.0 if slow else 5.0, 0.0, 0)

    found = greatest_rate(attempt, first=500.0, step_s=10.0, proof_s=30.0)
    assert found.steps[-1].seconds == 30.0 or not found.rate
    return found.rate, rates


@pytest.mark.parametrize("held", [130.0, 500.0, 777.0, 2_345.0])
def test_the_search_comes_near_what_is_held_and_never_above(held: float) -> None:
    found, _ = search(held)
    assert 0.93 * held <= found <= held


def test_one_unlucky_step_ends_no_search() -> None:
    assert search(2_345.0, unlucky=3)[0] == search(2_345.0)[0]


def test_who_holds_nothing_has_no_rate() -> None:
    found, rates = search(0.0)
    assert found == 0.0
    assert len(rates) < 25


def test_errors_are_not_held_however_quick() -> None:
    assert not Step(500.0, 10.0, 1.0, 2.0, 0.0, errors=1).held


@pytest.fixture
def noise() -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.random.default_rng(5).normal(0.0, 1.0, 300)


SECONDS = np.arange(300, dtype=np.float64)


def test_memory_that_stays_is_flat(noise: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> None:
    found = trend(SECONDS, 1_000 + noise / 10)
    assert found.verdict == "flat"
    assert abs(found.per_hour) < found.bound
    assert found.lower < found.per_hour < found.upper


def test_a_leak_is_seen_through_outliers(
    noise: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> None:
    values = 1_000 + SECONDS * 0.1 + noise  # 360 MB an hour
    values[40:48] += 500.0
    found = trend(SECONDS, values)
    assert found.verdict == "grows"
    assert found.lower < 360 < found.upper
    assert found.per_hour == pytest.approx(360, rel=0.1)
    assert trend(SECONDS, -values + 3_000).verdict == "shrinks"


def test_what_is_too_short_or_too_noisy_cannot_be_told(
    noise: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> None:
    assert trend(SECONDS[:50], 1_000 + noise[:50]).verdict == "cannot be told"
    assert trend(SECONDS, 1_000 + noise * 20).verdict == "cannot be told"
    alone = trend(SECONDS[:1], np.array([7.0]))
    assert (alone.level, alone.lower, alone.upper) == (7.0, -math.inf, math.inf)
    assert alone.document()["upper"] is None
