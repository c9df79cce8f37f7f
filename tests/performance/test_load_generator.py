"""The open-loop generator against small services: nothing is left out, nothing is forgiven."""

import asyncio
import sys
import time
from itertools import islice
from typing import Any

import numpy as np
import psutil
import pytest

from preprocess.market.values import Floats
from tests.performance import open_loop
from tests.performance.load_test.mix import Call, Mix
from tests.performance.load_test.processes import component_of, sampling
from tests.performance.load_test.scenario import constant
from tests.performance.load_test.worker import Outcome, generate, load_source
from tests.performance.rest_connection import RestConnection
from tests.performance.small_service import DAY, THRESHOLD, SmallService, small_service

THRESHOLDS = {7: THRESHOLD}


def mix(service: SmallService) -> Mix:
    return Mix([(code, DAY) for code in service.codes], 1)


def calls(service: SmallService, count: int) -> list[Call]:
    return list(islice(mix(service).calls(), count))


def send(service: SmallService, due_s: Floats) -> Outcome:
    return asyncio.run(generate(service.url, calls(service, len(due_s)), due_s, THRESHOLDS))


def test_every_request_is_sent_when_it_is_due() -> None:
    with small_service() as service:
        outcome = send(service, constant(200.0, 0.5))
    assert service.requests == len(outcome.due_s) == 100
    assert (outcome.errors, dict(outcome.failures)) == (0, {})
    assert outcome.seen.keys() == {pair for call in calls(service, 100) for pair in call.pairs}
    assert (outcome.late_ms >= 0).all()
    assert (outcome.latency_ms > outcome.late_ms).all()


@pytest.mark.serial
def test_a_stall_is_paid_by_all_that_were_due_meanwhile() -> None:
    """After 50 requests everything waits until a moment 0.4 s later: no omission."""
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
    # A request that was due 50 ms later has waited 50 ms less, whatever was sent before it.
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


def test_a_connection_that_the_service_closes_is_replaced() -> None:
    with small_service(last=True) as service:
        assert send(service, constant(100.0, 0.4)).errors == 0


def test_clients_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_loop, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(open_loop, "_CONNECTIONS", 16)
    with small_service(delay_s=lambda _: 60.0) as service:
        outcome = send(service, constant(100.0, 0.4))
    assert outcome.errors == 40
    assert set(outcome.failures) >= {"no reply within 0.3 s"}
    assert (outcome.latency_ms > 300).all()


def test_a_load_comes_from_a_process_of_its_own_and_is_sampled() -> None:
    with (
        small_service() as service,
        load_source(service.url, THRESHOLDS) as source,
        sampling({"generator": source.pid, "service": psutil.Process().pid}) as samples,
    ):
        outcome = source.send(mix(service), constant(100.0, 0.3))
    assert outcome.errors == 0
    assert source.pid != psutil.Process().pid
    assert samples.memory_mb("all").max() == samples.memory_mb("service").max() > 0
    assert samples.cpu_s("generator")[-1] > 0
    assert samples.open_files("service").max() > 5


@pytest.mark.parametrize(
    ("command", "component"),
    [
        (["/w/bin/tritonserver", "--model-repository=/x/gateway"], "triton"),
        ([sys.executable, "-m", "gateway"], "gateway"),
        ([sys.executable, "/v/bin/tezi", "up", "--verbose"], ""),
    ],
)
def test_processes_are_known_by_what_they_run(command: list[str], component: str) -> None:
    assert component_of(command) == component


@pytest.mark.parametrize(
    ("pieces", "outcome"),
    [
        ((b"HTTP/1.1 503 Busy\r\nContent-", b'Length: 7\r\n\r\n{"a"', b":1}"), (503, b'{"a":1}')),
        ((b"HTTP/1.1 200 OK\r\n", b""), "hung up"),
        ((b"HTTP/1.1 200 OK\r\n\r\n{}",), "without a length"),
    ],
)
async def test_responses_come_in_pieces_or_not_at_all(
    pieces: tuple[bytes, ...], outcome: tuple[int, bytes] | str
) -> None:
    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if not pieces[-1]:
            writer.close()
        await reader.read()
        writer.close()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await RestConnection.open(f"http://127.0.0.1:{port}")
        try:
            if isinstance(outcome, str):
                with pytest.raises(ConnectionError, match=outcome):
                    await connection.post("/here", b"{}")
            else:
                assert await connection.post("/here", b"{}") == outcome
        finally:
            connection.close()
            await served.wait()
