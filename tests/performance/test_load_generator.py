"""The open-loop generator against small services: nothing is left out, nothing is forgiven."""

import asyncio
import sys
import time
from itertools import islice
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from preprocess.market.values import Floats
from tests.performance.load_test import campaign, generator
from tests.performance.load_test.checks import Checks
from tests.performance.load_test.generator import OpenLoop, Outcome
from tests.performance.load_test.mix import Mix
from tests.performance.load_test.processes import component_of, sampling
from tests.performance.load_test.scenario import constant
from tests.performance.load_test.worker import load_source
from tests.performance.small_service import DAY, THRESHOLD, SmallService, small_service

THRESHOLDS = {7: THRESHOLD}


def mix(service: SmallService) -> Mix:
    return Mix([(code, DAY) for code in service.codes], 1)


def send(service: SmallService, due_s: Floats) -> Outcome:
    return asyncio.run(OpenLoop(service.url, due_s, Checks(THRESHOLDS)).run(mix(service).calls()))


def test_every_request_is_sent_when_it_is_due() -> None:
    with small_service() as service:
        outcome = send(service, constant(200.0, 0.5))
    assert service.asked == len(outcome.due_s) == 100
    assert (outcome.errors, dict(outcome.failures)) == (0, {})
    calls = islice(mix(service).calls(), 100)
    assert outcome.seen.keys() == {pair for call in calls for pair in call.pairs}
    assert (outcome.late_ms >= 0).all()
    assert (outcome.latency_ms > outcome.late_ms).all()


@pytest.mark.serial
def test_a_stall_is_paid_by_all_that_were_due_meanwhile() -> None:
    """Once 50 were asked everything waits until a moment 0.4 s later: no omission."""
    until: list[float] = []

    def delay_s(number: int) -> float:
        if number >= 50 and not until:
            until.append(time.monotonic() + 0.4)
        return max(0.0, until[0] - time.monotonic()) if until else 0.0

    with small_service(delay_s=delay_s) as service:
        outcome = send(service, constant(200.0, 0.6))
    assert outcome.errors == 0
    stalled = outcome.latency_ms[50:120]
    assert stalled[0] > 380
    # Who was due 50 ms later has waited 50 ms less, whoever was sent before.
    assert np.allclose(stalled[:60], stalled[0] - np.arange(60) * 5.0, atol=60)


def test_failures_are_counted_by_what_is_wrong() -> None:
    def spoil(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**answer, "probability": 7.0} for answer in answers]

    with small_service(spoil=spoil) as service:
        outcome = send(service, constant(100.0, 0.2))
    assert outcome.failures == {"a probability beyond 0 and 1": 20}
    assert outcome.failed.all()
    with small_service(status=503) as service:
        assert send(service, constant(100.0, 0.2)).failures == {"status 503": 20}


def test_a_connection_that_the_service_ends_is_replaced() -> None:
    with small_service(last=True) as service:
        outcome = send(service, constant(100.0, 0.4))
    assert outcome.errors == 0
    assert service.connections >= 40


def test_callers_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "PATIENCE_S", 0.3)
    monkeypatch.setattr(generator, "_CONNECTIONS", 16)
    with small_service(delay_s=lambda _: 60.0) as service:
        outcome = send(service, constant(100.0, 0.4))
    assert outcome.errors == 40
    assert set(outcome.failures) >= {"no answer within 0.3 s"}
    assert (outcome.latency_ms > 300).all()


def test_a_load_comes_from_a_process_of_its_own_and_is_sampled() -> None:
    with (
        small_service() as service,
        load_source(service.url, THRESHOLDS) as source,
        sampling({"generator": source.pid, "service": psutil.Process().pid}) as samples,
    ):
        before = campaign.prediction_counts([service.url] * 2)
        outcome = source.send(mix(service), constant(200.0, 0.7))
        after = campaign.prediction_counts([service.url] * 2)
        time.sleep(1.1)  # so that a sample comes after the last request
    begin, end = outcome.began, outcome.began + 0.7
    assert outcome.errors == 0
    assert source.pid != psutil.Process().pid
    assert 0.01 < samples.cores("generator", begin - 1, end + 1) < 3.0
    assert samples.memory_mb("all").max() < samples.memory_mb("generator").max() + (
        samples.memory_mb("service").max()
    )
    assert samples.open_files("generator").max() > 5
    assert samples.sent_mb_s(begin, end) >= 0.0
    asked, misses = (b - a for a, b in zip(before, after, strict=True))
    assert asked == 2 * len(outcome.due_s)
    assert misses / asked == pytest.approx(0.25, abs=0.02)


def test_each_gateway_is_asked_for_the_whole_market() -> None:
    pairs = [(f"{500_000 + number}", DAY) for number in range(250)]
    with small_service() as one, small_service() as other:
        campaign.fill([one.url, other.url], pairs)
    assert (one.asked, other.asked) == (3, 3)
    with small_service(status=503) as bad, pytest.raises(httpx.HTTPStatusError):
        campaign.fill([bad.url], pairs)


@pytest.mark.parametrize(
    ("command", "component"),
    [
        (["/w/bin/tritonserver", "--model-repository=/x/gateway"], "triton"),
        (["/w/triton_python_backend_stub", "/m/features/1/model.py"], "triton"),
        (["nginx: worker process"], "nginx"),
        (["redis-server 127.0.0.1:6379"], "redis"),
        ([sys.executable, "-m", "gateway"], "gateway"),
        ([sys.executable, "/v/bin/tezi", "up", "--verbose"], ""),
        (["sleep", "1"], ""),
    ],
)
def test_processes_are_known_by_what_they_run(command: list[str], component: str) -> None:
    assert component_of(command) == component
