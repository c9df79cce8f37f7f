"""The replay of the autoscaler: the documentation's examples, nothing lost, the whole report."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from preprocess.errors import TeziError
from tests.performance.__main__ import main
from tests.performance.bench_scaling import parse_cpu_ms
from tests.performance.scaling import SPIKE, Autoscaler, Direction, recommended, replay, shipped

CPU = shipped([0.5, 0.8])


def test_the_ratio_of_the_documentation() -> None:
    assert recommended(2.0, 3, 0) == 6  # 200m against a target of 100m doubles
    assert recommended(0.5, 6, 0) == 3
    assert recommended(1.1, 10, 0) == recommended(0.9, 10, 0) == 10  # within the tolerance
    assert recommended(2.0, 2, 1) == 4  # pods that start use nothing yet


def test_windows_and_rates() -> None:
    """80 pods: 10 per cent or 4 pods a minute, the greater of the two, after 30 s."""
    down = Direction(30, (("Pods", 4, 60), ("Percent", 10, 60)))
    autoscaler = Autoscaler(replace(CPU[0], minimum=1, maximum=100, down=down))
    current, found = 80, []
    for look in range(16):
        current = autoscaler.follow(look * 15.0, current, 1)
        found.append(current)
    assert found[:2] == [80, 80]
    assert found[2::4] == [72, 64, 57, 51]


def test_the_shipped_policy_waits_two_minutes_and_five_afterwards() -> None:
    found = replay(SPIKE, 5_000, CPU)
    gateways = found.pods[:, 0].tolist()
    rises = next(second for second, number in enumerate(gateways) if number > 2)
    assert 300 + 120 <= rises <= 300 + 180
    falls = max(second for second, number in enumerate(gateways) if number == max(gateways))
    assert falls >= 1_500 + 300
    assert 0.0 < found.refused.sum() < 0.05 * found.offered.sum()


def test_it_reports_and_draws(tmp_path: Path) -> None:
    target = tmp_path / "scaling.json"
    words = ["scaling", "--quick", "--json", str(target), "--cpu-ms-per-request", "0.4,0.6"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    metrics = {row["metric"] for row in json.loads(target.read_text())["rows"]}
    assert metrics >= {"scaling_5000_spike_late", "scaling_50000_trading_day_core_hours"}
    assert target.with_suffix(".png").stat().st_size > 10_000
    with pytest.raises(TeziError, match=r"0\.49,0\.78"):
        parse_cpu_ms("0,1")
