"""The load test as users run it, and its report of a made-up campaign with known faults."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from preprocess.settings import PROJECT_ROOT
from tests.performance.bench_load import report_of
from tests.performance.load_test.caches import CacheCounts, Counts
from tests.performance.load_test.campaign import Campaign, Phase, Ran
from tests.performance.load_test.generator import Outcome
from tests.performance.load_test.load_report import LoadReport
from tests.performance.load_test.processes import Network, Sample, Samples
from tests.performance.load_test.scenario import Scenario, filling, scenarios
from tests.performance.load_test.search import Found, Step
from tests.performance.small_service import SmallService, small_service

# The metrics that other scripts read; the last two feed the capacity model.
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
    """Side by side: a service that is right and gets slow, and one that mixes up batches."""
    with (
        small_service(delay_s=lambda number: 0.2 * (number > 170)) as slow,
        small_service(spoil=lambda answers: answers[::-1]) as bad,
    ):
        runs = [
            locust(slow, "--shape", "steps", "--scale", 0.07, "--csv", tmp_path / "slow"),
            locust(bad, "--shape", "steady", "--scale", 0.001),
        ]
        outputs = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 1], outputs
    lines = (tmp_path / "slow_stats.csv").read_text().splitlines()[1:]
    counts = {line.split(",")[1]: int(line.split(",")[2]) for line in lines}
    total = counts.pop("Aggregated")
    assert 100 < total == sum(counts.values())
    assert 0.15 < counts["/api/v1/batch_predict"] / total < 0.45
    assert "The greatest rate with a p99 below 50 ms is" in outputs[0]
    assert "another stock or day was answered than asked for" in outputs[1]


def outcome(scenario: Scenario, began: float) -> Outcome:
    due_s = scenario.due_s()
    return Outcome(
        began=began,
        due_s=due_s,
        latency_ms=np.full(len(due_s), 2.0),
        late_ms=np.full(len(due_s), 0.1),
        failed=np.zeros(len(due_s), dtype=bool),
        failures={},
        seen={},
        stocks=len(due_s),
        cpu_s=1.0,
    )


@pytest.fixture
def campaign() -> Campaign:
    """All goals are reached: every answer takes 2 ms, a request 0.36 ms of the gateway."""
    idle = Phase("idle", 1_000.0, 1_010.0)
    ran, began = [], idle.end
    *first, endurance = scenarios(0.5)
    for scenario in (*first, filling(11_000), endurance):
        ran.append(Ran(scenario, outcome(scenario, began)))
        began += scenario.seconds + 5.0
    samples = Samples(
        {("gateway", 1): [], ("gateway", 2): [], ("triton", 3): [], ("generator", 4): []}
    )
    caches = CacheCounts({"predictions": []})
    for second in range(int(began - 1_000.0) + 5):
        at = 1_000.0 + second
        for (component, _), sampled in samples.by_process.items():
            per_s = {"gateway": 0.1, "triton": 0.3, "generator": 0.05}[component]
            busy_s = max(0.0, at - idle.end) + 0.1 * min(at - idle.begin, idle.seconds)
            sampled.append(Sample(at, busy_s * per_s, 300.0, 40))
        samples.network.append(Network(at, second * 1_000_000, second * 1_000_000))
        caches.by_kind["predictions"].append(Counts(at, second * 1_000, second * 750))
    step = Step(2_100.0, 30.0, 3.0, 20.0, 1.0, 0)
    found = Found(2_100.0, [step])
    searches = [Phase(name, began, began + 5.0) for name in ("max_rate", "max_rate_cold")]
    return Campaign(idle, ran, searches, found, found, samples, caches, [], 0, 9_000, 11_000)


def report(campaign: Campaign) -> LoadReport:
    return report_of(campaign, "tezi bench load", 0.5)


def verdicts(made: LoadReport) -> dict[str, tuple[str, str]]:
    """PASS or FAIL by metric: of what was asked for, and ours."""
    return {row[0].split(",")[0]: (row[3], row[5]) for row in made.grids[0].rows}


def test_a_campaign_without_fault_passes(campaign: Campaign) -> None:
    made = report(campaign)
    rows = {row.metric: row for row in made.rows}
    assert rows.keys() >= METRICS
    assert {row.metric for row in made.rows if row.met is False} == set()
    assert {text for pair in verdicts(made).values() for text in pair} == {"PASS", ""}
    assert rows["steady_p95"].value == 2.0
    # Two gateways of 0.1 cores at 500 requests a second, and of 0.01 without any.
    assert rows["gateway_cpu_ms_per_request"].value == pytest.approx(0.36, rel=1e-3)
    assert rows["triton_cpu_ms_per_request"].value == pytest.approx(0.54, rel=1e-3)
    assert rows["sustained_hit_rate"].value == pytest.approx(0.75)
    assert rows["memory_growth"].value == 0.0
    assert "With caches that were filled before, memory is flat: no leak is seen." in made.findings
    assert any("most of it in the triton (55%)" in finding for finding in made.findings)


def test_faults_are_failed_and_named(campaign: Campaign) -> None:
    steady, spike, sustained, filled, endurance = campaign.ran
    spike.outcome.latency_ms[spike.outcome.due_s > 20.0] = 90.0  # from the top on, to the end
    sustained.outcome.failed[:60] = True
    sustained.outcome.late_ms[:] = 1.5
    sustained = replace(sustained, outcome=replace(sustained.outcome, failures={"status 503": 60}))
    filled.outcome.failed[:2] = True
    filled = replace(filled, outcome=replace(filled.outcome, failures={"no probability": 2}))
    for number, sample in enumerate(campaign.samples.by_process["triton", 3]):
        campaign.samples.by_process["triton", 3][number] = replace(
            sample, memory_mb=300.0 + number * 0.05
        )
    made = report(
        replace(
            campaign,
            ran=[steady, spike, sustained, filled, endurance],
            wrong=3,
            restarts=["tezi | gateway1: it ended with code 1; starting it again"],
        )
    )
    found = verdicts(made)
    assert found["sustained_errors"] == ("", "FAIL")
    assert found["sustained_error_share"] == ("PASS", "FAIL")
    assert found["spike_recovery"] == ("PASS", "FAIL")
    assert found["spike_p95"] == ("", "FAIL")
    assert found["wrong_answers"] == ("", "FAIL")
    assert found["steady_p95"] == ("PASS", "PASS")
    words = "\n".join(made.findings)
    assert "sustained: 60 times status 503." in words
    assert "fill: 2 times no probability." in words
    assert [row[2] for row in made.grids[1].rows] == ["0", "0", "60", "2", "0"]
    assert "with caches that were filled before: all, triton." in words
    assert "gateway1: it ended with code 1" in words
    assert "the load generator itself was late by 1.5 ms" in words


def test_a_short_run_says_nothing_about_memory(campaign: Campaign) -> None:
    short = scenarios(0.1)[-1]
    *others, endurance = campaign.ran
    made = report(
        replace(campaign, ran=[*others, Ran(short, outcome(short, endurance.phase.begin))])
    )
    growth = next(row for row in made.rows if row.metric == "memory_growth")
    assert (growth.value, growth.met) == (None, None)
    assert any("run it longer" in finding for finding in made.findings)


def grown(campaign: Campaign, begin: float, end: float) -> tuple[float | None, Sequence[str]]:
    """`memory_growth` and findings, if a gateway grows by 0.1 MB a second between two moments."""
    held = campaign.samples.by_process["gateway", 1]
    for number, sample in enumerate(held):
        seconds = min(max(0.0, sample.at - begin), end - begin)
        held[number] = replace(sample, memory_mb=300.0 + 0.1 * seconds)
    made = report(campaign)
    growth = next(row for row in made.rows if row.metric == "memory_growth")
    assert "endurance, without its first 30 s" in growth.note
    return growth.value, made.findings


def test_a_cache_that_fills_is_no_leak(campaign: Campaign) -> None:
    until = campaign.of("endurance").phase.begin + 25.0
    value, findings = grown(campaign, campaign.of("sustained").phase.begin, until)
    assert value == 0.0
    assert "With caches that were filled before, memory is flat: no leak is seen." in findings


def test_what_grows_with_full_caches_is_a_leak(campaign: Campaign) -> None:
    endurance = campaign.of("endurance").phase
    value, findings = grown(campaign, endurance.begin, endurance.end)
    assert value == pytest.approx(360.0)
    assert any("with caches that were filled before: all, gateway." in one for one in findings)


def test_the_report_is_text_json_a_plot_and_one_page(campaign: Campaign, tmp_path: Path) -> None:
    target = tmp_path / "load.json"
    report(campaign).write(target)

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    document = json.loads(target.read_text(), parse_constant=refuse)
    per_request = document["load"]["cpu_ms_per_request"]["sustained"]
    assert per_request["triton"] == pytest.approx(0.54, rel=1e-3)
    assert len(document["load"]["seconds"]["sustained"]["p99"]) == 150
    assert document["load"]["memory_judged"]["scenario"] == "endurance"
    assert document["load"]["memory_judged"]["seconds"] == pytest.approx(120, abs=0.1)
    assert document["load"]["memory"]["all"]["verdict"] == "flat"
    assert "| `sustained_p99` |" in target.with_suffix(".md").read_text()
    assert target.with_suffix(".png").stat().st_size > 10_000
    text = target.with_suffix(".html").read_text()
    assert text.count("data:image/png;base64,") == 10
    assert '<td class="PASS">PASS</td>' in text
    assert "http" not in text.replace("http-equiv", "")  # nothing is fetched from elsewhere
