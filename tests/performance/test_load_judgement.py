"""When requests are due, and what is made of latencies, of memory and of a search's steps."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.performance.bench_load import report_of
from tests.performance.load_test.campaign import Campaign, Phase, Ran
from tests.performance.load_test.judgement import growth_per_hour, recovery_s
from tests.performance.load_test.processes import Sample, Samples, Usage
from tests.performance.load_test.scenario import Stretch, constant, due_times, scenarios
from tests.performance.load_test.search import Found, Step, greatest_rate
from tests.performance.load_test.worker import Outcome


def outcome(due_s: "np.ndarray[tuple[int], np.dtype[np.float64]]", began: float = 100.0) -> Outcome:
    """Every answer took 2 ms."""
    count = len(due_s)
    return Outcome(
        began=began,
        due_s=due_s,
        latency_ms=np.full(count, 2.0),
        late_ms=np.zeros(count),
        failed=np.zeros(count, dtype=bool),
        failures={},
        seen={},
    )


def test_a_ramp_has_as_many_requests_as_the_area_below_it() -> None:
    due = due_times([Stretch(30, 0, 500), Stretch(10, 500, 500), Stretch(10, 0, 0)])
    assert len(due) == 7_500 + 5_000
    assert (np.diff(due) > 0).all()
    counts = np.histogram(due, bins=np.arange(0, 51))[0]
    assert counts[0] == pytest.approx(500 / 30 / 2, abs=1)
    assert counts[29] == pytest.approx(500 - 500 / 30 / 2, abs=1)
    assert counts[35] == 500
    assert not counts[40:].any()


def test_scenarios_keep_their_rates_at_every_scale() -> None:
    for scale, sizes in ((1.0, [60_000, 25_500, 150_000]), (0.1, [6_000, 2_550, 15_000])):
        assert [len(one.due_s()) for one in scenarios(scale)] == sizes
    assert all(one.seconds >= 1.0 for one in scenarios(0.0001))


def test_recovery_ends_with_the_last_bad_second() -> None:
    made = outcome(constant(100.0, 10.0))
    made.latency_ms[(made.due_s >= 1) & (made.due_s < 2)] = 99.0  # on the way up
    assert recovery_s(made, 4.0, 20.0) == 0.0
    made.latency_ms[(made.due_s >= 5) & (made.due_s < 6)] = 99.0
    assert recovery_s(made, 4.0, 20.0) == 2.0
    made.failed[750] = True
    assert recovery_s(made, 4.0, 20.0) == 4.0


def search(capacity: float, unlucky: int = -1) -> float:
    """What is found of a service that answers `capacity` requests a second in time."""
    numbers = itertools.count()

    def attempt(rate: float, _seconds: float) -> Step:
        slow = next(numbers) == unlucky or rate > capacity
        return Step(80.0 if slow else 5.0, 0)

    return greatest_rate(attempt, first=500.0, step_s=10.0, proof_s=30.0).rate


@pytest.mark.parametrize("capacity", [0.0, 130.0, 500.0, 2_345.0])
def test_the_search_comes_near_what_can_be_answered_and_never_above(capacity: float) -> None:
    assert 0.93 * capacity <= search(capacity) <= capacity
    assert search(capacity, unlucky=3) == search(capacity)
    assert not Step(2.0, errors=1).passed


def test_growth_is_seen_through_outliers_and_not_told_of_seconds() -> None:
    seconds = np.arange(300, dtype=np.float64)
    noise = np.random.default_rng(5).normal(0.0, 1.0, 300)
    assert growth_per_hour(seconds, 1_000 + noise) == pytest.approx(0.0, abs=15)
    leak = 1_000 + seconds * 0.1 + noise  # 360 MB an hour
    leak[40:48] += 500.0
    assert growth_per_hour(seconds, leak) == pytest.approx(360, rel=0.1)
    assert growth_per_hour(seconds[:70], leak[:70]) is None


@pytest.fixture
def campaign() -> Campaign:
    """Two faults: the sustained load has 60 failures, and Triton grows by 180 MB an hour."""
    idle = Phase("idle", 1_000.0, 1_010.0)
    ran, began = [], idle.end
    for scenario in scenarios(0.5):
        ran.append(Ran(scenario, outcome(scenario.due_s(), began), hit_rate=0.75))
        began += scenario.seconds + 5.0
    sustained = ran[-1].outcome
    sustained.failed[:60] = True
    failures = {"status 503": 60}
    ran[-1] = Ran(ran[-1].scenario, Outcome(**{**vars(sustained), "failures": failures}), 0.75)
    taken = []
    for second in range(int(began - 1_000.0) + 5):
        busy_s = max(0.0, second - 10.0)
        used = {
            "gateway": Usage(busy_s * 0.2, 300.0, 40),
            "triton": Usage(busy_s * 0.3, 300.0 + second * 0.05, 40),
            "generator": Usage(busy_s * 0.05, 60.0 + second, 40),
        }
        taken.append(Sample(1_000.0 + second, used, float(second)))
    samples = Samples(taken, dict(enumerate(("gateway", "triton", "generator"))))
    found = Found(2_100.0, 1)
    names = ("max_rate", "max_rate_cold")
    searches = [Phase(name, began, began + 5.0) for name in names]
    rates = dict.fromkeys(names, found)
    return Campaign(idle, ran, searches, rates, samples, ["gateway1 ended"], 3, 9_000, 11)


def test_faults_are_failed_and_the_rest_passes(campaign: Campaign, tmp_path: Path) -> None:
    made = report_of(campaign, "load", 0.5)
    rows = {row.metric: row for row in made.rows}
    failed = {"sustained_errors", "sustained_error_share", "memory_growth", "wrong_answers"}
    assert {row.metric for row in made.rows if row.met is False} == failed
    verdicts = {line[0].split(",")[0]: (line[3], line[5]) for line in made.grids[0].rows}
    assert verdicts["sustained_error_share"] == ("PASS", "FAIL")
    assert verdicts["steady_p95"] == ("PASS", "PASS")
    assert rows["memory_growth"].value == pytest.approx(180.0)  # without the generator's
    assert rows["gateway_cpu_ms_per_request"].value == pytest.approx(0.4, rel=1e-3)
    words = "\n".join(made.findings)
    assert "most of it in the triton (55%)" in words
    assert "sustained: 60 times status 503." in words
    assert "gateway1 ended" in words
    made.write(tmp_path / "load.json")
    assert "| `sustained_p99` " in (tmp_path / "load.md").read_text()
    assert (tmp_path / "load.png").stat().st_size > 10_000
