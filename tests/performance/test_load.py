"""The load test as users run it: `pytest tests/performance/test_load.py` is a short run.

`python -m tests.performance load` is the whole one.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from preprocess.settings import Settings
from tests.integration.stack import copied, fresh_settings, tezi
from tests.once import made_once
from tests.paths import PROJECT_ROOT
from tests.performance.quick import assert_shape, run_quick
from tests.performance.small_service import SmallService, small_service

# The metrics that other scripts read.
METRICS = {
    "steady_p95",
    "steady_p99",
    "steady_errors",
    "spike_p95",
    "spike_recovery",
    "sustained_p95",
    "sustained_p99",
    "sustained_errors",
    "memory_growth",
    "max_rate",
    "max_rate_cold",
    "gateway_cpu_ms_per_request",
    "triton_cpu_ms_per_request",
}


@pytest.mark.triton
@pytest.mark.serial
def test_a_short_load_test_of_a_small_market(
    bench_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    demo = made_once(tmp_path_factory, "demo", lambda home: tezi(fresh_settings(home), "demo"))
    copied(demo, bench_settings.home / "bench" / "load")  # where the benchmark has its model
    quick = run_quick(bench_settings, "load")
    assert_shape(quick, METRICS)
    rows = {metric: row["value"] for metric, row in quick.rows.items()}
    assert rows["steady_errors"] == rows["spike_errors"] == rows["sustained_errors"] == 0
    assert rows["wrong_answers"] == 0
    assert "Goals" in quick.output


def locust(service: SmallService, *options: object) -> "subprocess.Popen[str]":
    """Started as the docs say."""
    program = Path(sys.executable).with_name("locust")
    command = [program, "-f", "tests/performance/locustfile.py", "--headless", "-H", service.url]
    return subprocess.Popen(
        [*map(str, command), "--only-summary", *map(str, options)],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_locust_sends_the_mix_and_looks_at_the_answers(tmp_path: Path) -> None:
    """Side by side: a service that is right, and one that mixes up batches."""
    with small_service() as good, small_service(spoil=lambda answers: answers[::-1]) as bad:
        runs = [
            locust(good, "--shape", "spike", "--scale", 0.001, "--csv", tmp_path / "good"),
            locust(bad, "--shape", "steady", "--scale", 0.001),
        ]
        outputs = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 1], outputs
    lines = (tmp_path / "good_stats.csv").read_text().splitlines()[1:]
    counts = {line.split(",")[1]: int(line.split(",")[2]) for line in lines}
    total = counts.pop("Aggregated")
    assert 100 < total == sum(counts.values())
    assert 0.15 < counts["/api/v1/batch_predict"] / total < 0.45
    assert "another stock or day was answered than requested" in outputs[1]
