"""The real server process: draining, bodies that are too large, messages at start."""

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from gateway.server import DrainingServer, listen
from gateway.stack.ports import LOOPBACK, free_ports
from gateway.traffic import Traffic
from preprocess.errors import ServerError
from tests.gateway.fakes import build_app, item, until


def free_port() -> int:
    return free_ports(LOOPBACK, 1)[0]


@asynccontextmanager
async def serving(
    home: Path, *, drain_s: float = 60.0
) -> AsyncIterator[tuple["subprocess.Popen[bytes]", httpx.AsyncClient]]:
    """A process that is ready, and a client that opens a connection for each request."""
    port = free_port()
    arguments = [str(home), str(port), str(drain_s)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.gateway.serving", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    limits = httpx.Limits(max_keepalive_connections=0)
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=60, trust_env=False
        ) as client:
            await until(lambda: is_ready(client))
            yield process, client
    finally:
        process.kill()
        process.communicate()


async def is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def drains(client: httpx.AsyncClient) -> httpx.Response | None:
    response = await client.get("/ready")
    return response if response.status_code == 503 else None


def predict(client: httpx.AsyncClient) -> "asyncio.Task[httpx.Response]":
    return asyncio.create_task(client.post("/api/v1/predict", json=item()))


async def is_in_flight(client: httpx.AsyncClient) -> bool:
    return "predictor_requests_in_flight 1.0" in (await client.get("/metrics")).text


async def ended(process: "subprocess.Popen[bytes]") -> int:
    return await asyncio.to_thread(process.wait, 60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_requests_in_flight_finish_while_not_ready(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with serving(tmp_path) as (process, client):
        slow = predict(client)
        await until(lambda: is_in_flight(client))
        process.send_signal(number)
        response = await until(lambda: drains(client))
        assert response.json() == {"status": "not ready", "reason": "the service is stopping"}
        assert response.headers["connection"] == "close"
        assert (await client.get("/live")).status_code == 200
        assert not slow.done()
        (tmp_path / "release").touch()
        assert (await slow).status_code == 200
        assert await ended(process) == 0
        with pytest.raises(httpx.ConnectError):
            await client.get("/live")


async def test_a_second_signal_and_the_time_cut_the_drain_short(tmp_path: Path) -> None:
    async with serving(tmp_path, drain_s=600.0) as (process, client):
        stuck = predict(client)
        await until(lambda: is_in_flight(client))
        process.terminate()
        await until(lambda: drains(client))
        process.terminate()
        response = await stuck
        assert response.status_code == 503
        assert response.json() == {"detail": "The service is stopping; try again"}
        assert response.headers["retry-after"] == "1"
        assert await ended(process) == 0


async def test_the_drain_does_not_last_for_ever(tmp_path: Path) -> None:
    async with serving(tmp_path, drain_s=1.5) as (process, client):
        stuck = predict(client)
        await until(lambda: is_in_flight(client))
        began = time.monotonic()
        process.terminate()
        assert (await stuck).status_code == 503
        assert await ended(process) == 0
        assert time.monotonic() - began > 1.0


async def test_large_bodies_are_rejected_and_an_idle_server_ends_at_once(tmp_path: Path) -> None:
    body = b"x" * 10_000_000

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    (tmp_path / "release").touch()
    async with serving(tmp_path, drain_s=600.0) as (process, client):
        for content in (body, chunks()):
            response = await client.post(
                "/api/v1/predict", content=content, headers={"content-type": "application/json"}
            )
            assert response.status_code == 413
            assert response.headers["connection"] == "close"
            assert "larger" in response.json()["detail"]
        response = await client.post("/api/v1/predict", json=item())
        assert response.status_code == 200
        assert "server" not in response.headers
        process.terminate()
        assert await ended(process) == 0
        assert process.stdout is not None
        assert "Uvicorn" not in process.stdout.read().decode()


@pytest.mark.parametrize("name", ["TEZI_HTTP_PORT", "TEZI_MAX_IN_FLIGHT"])
def test_a_taken_port_and_a_wrong_setting_are_clear_messages(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        value = str(port) if name == "TEZI_HTTP_PORT" else "none"
        done = subprocess.run(
            [sys.executable, "-m", "gateway"],
            env={**os.environ, name: value, "TEZI_DATA_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert name in done.stderr
    assert "Traceback" not in done.stderr
    if name == "TEZI_HTTP_PORT":
        (line,) = done.stderr.splitlines()
        assert f"127.0.0.1:{port}" in line


def test_the_real_gateway_starts_without_triton_or_data_and_says_so(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway"],
        env={**os.environ, "TEZI_HTTP_PORT": str(port), "TEZI_DATA_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            trust_env=False,
            timeout=60,
            transport=httpx.HTTPTransport(retries=8),
        ) as client:
            assert client.get("/live").status_code == 200
            assert client.get("/ready").status_code == 503
            assert client.get("/api/v1/health").json()["status"] == "unhealthy"
            assert client.post("/api/v1/predict", json=item()).status_code == 503
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert '"event": "gateway starts"' in output
    assert "Traceback" not in output


def test_addresses_that_cannot_be_listened_on() -> None:
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(ServerError, match="cannot listen"):
            listen(host, 0)


async def test_what_is_loaded_at_start_is_excluded_from_garbage_collection(
    tmp_path: Path,
) -> None:
    config = uvicorn.Config(build_app(tmp_path).app, lifespan="off", log_config=None)
    config.load()
    server = DrainingServer(config, traffic=Traffic(), drain_s=1)
    server.lifespan = config.lifespan_class(config)
    listener = listen(LOOPBACK, 0)
    before = gc.get_freeze_count()
    try:
        await server.startup([listener])
        assert gc.get_freeze_count() > before + 10_000
        assert len(gc.get_objects()) < 1_000
    finally:
        gc.unfreeze()
        await server.shutdown([listener])
