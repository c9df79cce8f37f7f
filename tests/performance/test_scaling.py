"""Replays: queues by their formula, nothing lost, and what each knob of a policy must do."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from preprocess.errors import TeziError
from tests.performance import bench_scaling
from tests.performance.__main__ import main
from tests.performance.scaling.curves import CURVES, DAY, SPIKE, Curve
from tests.performance.scaling.queueing import erlang_c, mean_wait_s, wait_quantile_s
from tests.performance.scaling.replay import Replay, replay
from tests.performance.scaling.setups import CpuMs, Setup, setups
from tests.performance.scaling.tier import Cluster

MADE = setups(CpuMs(0.5, 0.8))


def replayed(setup: Setup, curve: Curve, peak: float, cluster: Cluster | None = None) -> Replay:
    return replay(curve, peak, setup.parts, cluster or Cluster(), base_ms=2.0)


@given(st.floats(0.01, 0.99))
def test_one_core_is_the_plain_queue(load: float) -> None:
    assert erlang_c(1, load) == pytest.approx(load)
    assert erlang_c(2, 2 * load) == pytest.approx(2 * load**2 / (1 + load))
    assert mean_wait_s(arrivals=load, service_s=1, cores=1) == pytest.approx(load / (1 - load))


def test_the_formula_is_what_a_queue_does() -> None:
    """200,000 requests, one after the other, through two cores at 75 %."""
    random = np.random.default_rng(20260814)
    arrive = np.cumsum(random.exponential(1 / 1.5, 200_000))
    work = random.exponential(1.0, 200_000)
    free = [0.0, 0.0]
    waits = []
    for at, takes in zip(arrive.tolist(), work.tolist(), strict=True):
        first = min(free)
        begins = max(at, first)
        waits.append(begins - at)
        free[free.index(first)] = begins + takes
    expected = wait_quantile_s(0.95, arrivals=1.5, service_s=1.0, cores=2)
    assert np.quantile(waits, 0.95) == pytest.approx(expected, rel=0.08)
    assert np.mean(waits) == pytest.approx(
        mean_wait_s(arrivals=1.5, service_s=1.0, cores=2), rel=0.08
    )
    assert wait_quantile_s(0.95, arrivals=2.0, service_s=1.0, cores=2) == np.inf
    assert wait_quantile_s(0.95, arrivals=0.01, service_s=1.0, cores=2) == 0.0


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_a_curve_is_a_share_and_reaches_its_peak(curve: Curve) -> None:
    shares = [curve.share(t) for t in range(0, curve.length_s, curve.step_s)]
    assert max(shares) == pytest.approx(1.0)
    assert min(shares) > 0


@pytest.mark.parametrize("name", MADE)
def test_no_request_is_lost_or_made(name: str) -> None:
    found = replayed(MADE[name], SPIKE, 20_000)
    offered = sum(gateway.offered for gateway, _ in found.steps)
    gone = sum(gateway.refused + triton.refused for gateway, triton in found.steps)
    answered = sum(triton.served for _, triton in found.steps)
    # The load ends quiet, so that nothing waits at the end.
    assert answered + gone == pytest.approx(offered, rel=1e-9)
    assert found.refused_share == pytest.approx(gone / offered)


def test_the_steps_of_a_saturated_metric() -> None:
    """Pods that ask for all that they use seem at most 143 % busy: 2, 3, 5, 8, and 120 s each."""
    first = replayed(MADE["first"], SPIKE, 50_000)
    pods = [gateway.replicas for gateway, _ in first.steps]
    seen = sorted(set(pods[: 300 + 900]))
    assert seen == [2, 3, 5, 8, 10]
    when = [pods.index(number) for number in seen[1:]]
    assert all(b - a >= 120 for a, b in pairwise(when))
    shipped = replayed(MADE["shipped"], SPIKE, 50_000)
    ours = [gateway.replicas for gateway, _ in shipped.steps]
    assert ours.index(10) < pods.index(10) - 240


def test_two_minutes_are_waited_for_and_five_afterwards() -> None:
    found = replayed(MADE["shipped"], SPIKE, 5_000)
    pods = [gateway.replicas for gateway, _ in found.steps]
    rises = next(place for place, number in enumerate(pods) if number > 2)
    assert 300 + 120 <= rises <= 300 + 180
    falls = max(place for place, number in enumerate(pods) if number == max(pods))
    assert falls >= 1_500 + 300


def test_more_pods_at_rest_an_earlier_metric_and_a_quicker_start_all_help() -> None:
    large = MADE["large"]
    late = replayed(large, SPIKE, 50_000).late_s(50)
    parts = large.parts
    more = Setup("", tuple(replace(p, policy=p.policy.between(40, 80)) for p in parts))  # type: ignore[arg-type]
    slow = Setup("", tuple(replace(p, start_s=180.0) for p in parts))  # type: ignore[arg-type]
    assert replayed(more, SPIKE, 50_000).late_s(50) == 0 < late
    assert replayed(slow, SPIKE, 50_000).late_s(50) > late
    old = Cluster(lag_s=60.0, over_s=60.0)
    assert replayed(large, SPIKE, 50_000, old).late_s(50) > late


def test_large_carries_a_trading_day() -> None:
    day = replace(DAY, step_s=15)
    found = replayed(MADE["large"], day, 50_000)
    assert found.late_s(50) == 0
    assert found.core_hours < 0.5 * found.static_core_hours
    assert replayed(MADE["shipped"], day, 50_000).late_s(50) > 3_600


def test_it_reports_and_draws(tmp_path: Path) -> None:
    target = tmp_path / "scaling.json"
    load = tmp_path / "load.json"
    rows = [
        {"metric": "gateway_cpu_ms_per_request", "value": 0.4},
        {"metric": "triton_cpu_ms_per_request", "value": 0.6},
    ]
    load.write_text(json.dumps({"rows": rows}))
    words = ["scaling", "--quick", "--json", str(target), "--cpu-ms-per-request", "0.4,0.6"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    document = json.loads(target.read_text())
    assert document["settings"]["gateway_cpu_ms"] == 0.4
    assert {row["metric"] for row in document["rows"]} >= {
        "scaling_5000_spike_late",
        "scaling_50000_trading_day_core_hours",
    }
    assert len(document["findings"]) == len(bench_scaling.PEAKS)
    assert target.with_suffix(".png").stat().st_size > 50_000


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "0,1", "1,-1"])
def test_cpu_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(TeziError, match=r"0\.49,0\.78"):
        CpuMs.parse(text)


def test_what_tells_no_cpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TeziError, match="gateway_cpu_ms_per_request"):
        CpuMs.of_report(tmp_path / "none.json")
    (tmp_path / "other.json").write_text('{"rows": []}')
    with pytest.raises(TeziError, match="no report with the rows"):
        CpuMs.of_report(tmp_path / "other.json")
    rows = [
        {"metric": "gateway_cpu_ms_per_request", "value": 0.5},
        {"metric": "triton_cpu_ms_per_request", "value": 0.0},
    ]
    (tmp_path / "cached.json").write_text(json.dumps({"rows": rows}))
    with pytest.raises(TeziError, match="caches held every prediction"):
        CpuMs.of_report(tmp_path / "cached.json")
    assert CpuMs.parse("0.3,0.5") == CpuMs(0.3, 0.5, "given")
