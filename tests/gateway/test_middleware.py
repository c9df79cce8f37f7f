"""What every request gets: an id, a time, a body limit, log lines and metrics."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message, Receive, Scope, Send

from gateway.api.middleware.request_id import RequestIdMiddleware
from gateway.api.middleware.unexpected import UnexpectedErrorMiddleware
from gateway.api.responses import STATUS_KEY
from gateway.errors import PredictorUnavailableError
from gateway.logs import REQUEST_ID
from gateway.server import configured
from gateway.traffic import Traffic
from tests.gateway.fakes import (
    ADMIN_TOKEN,
    AUTHORIZED,
    FakePredictor,
    Running,
    build_app,
    item,
    running_app,
)

LIMIT = 2_000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/live", 200),
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/predict", 405),
        ("POST", "/api/v1/predict", 422),
        ("GET", "/static/console.js", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/metrics", 200),
    ],
)
async def test_every_answer_has_an_id_and_a_time(
    tezi: Running, method: str, path: str, status: int
) -> None:
    first = await tezi.client.request(method, path)
    second = await tezi.client.request(method, path)
    assert first.status_code == second.status_code == status
    assert re.fullmatch("[0-9a-f]{32}", first.headers["x-request-id"])
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert float(first.headers["x-process-time"]) > 0
    assert first.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("given", ["a", "Az09._-" * 18, "x" * 128])
async def test_a_harmless_id_is_kept(tezi: Running, given: str) -> None:
    for path in ("/live", "/nothing"):
        response = await tezi.client.get(path, headers={"X-Request-ID": given})
        assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", "<script>", "ü", "a,b"])
async def test_any_other_id_is_replaced(tezi: Running, given: str) -> None:
    response = await tezi.client.get("/live", headers={b"X-Request-ID": given.encode("latin-1")})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_app(tmp_path, max_body_bytes=LIMIT) as running:
        yield running


def body_of(size: int) -> bytes:
    return b'{"bse_code":"500001","prediction_date":"2026-08-14"}'.ljust(size)


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def test_a_body_at_the_limit_is_accepted_whole_and_in_pieces(small: Running) -> None:
    for content in (body_of(LIMIT), pieces(body_of(LIMIT), 1)):
        assert (await small.client.post("/api/v1/predict", content=content)).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/predict", "/live", "/nothing"])
async def test_a_larger_body_is_rejected_by_its_content_length(small: Running, path: str) -> None:
    response = await small.client.post(path, content=body_of(LIMIT + 1))
    assert response.status_code == 413
    assert response.json() == {"detail": "The body is larger than 2000 bytes"}
    assert response.headers["connection"] == "close"
    assert "x-request-id" in response.headers


async def test_a_larger_body_is_rejected_by_the_bytes_that_arrive(small: Running) -> None:
    content = pieces(b" " * 10_000, 100)
    response = await small.client.post("/api/v1/predict", content=content)
    assert response.status_code == 413
    assert small.predictor.calls == []


async def raw_call(
    small: Running, receive: Receive, headers: list[tuple[bytes, bytes]]
) -> list[Message]:
    """What a prediction call below HTTP is sent."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/v1/predict", "headers": headers}
    await small.app(scope, receive, send)
    return sent


async def test_a_client_that_expects_continue_gets_the_response_at_once(
    small: Running,
) -> None:
    received: list[str] = []

    async def receive() -> Message:
        received.append("asked for the body")
        return {"type": "http.disconnect"}

    headers = [(b"content-length", b"99999999"), (b"expect", b"100-Continue")]
    sent = await raw_call(small, receive, headers)
    assert sent[0]["status"] == 413
    assert received == []


async def test_an_endless_body_is_not_read_to_the_end(
    small: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.middleware.body_limit.LINGER_BYTES", 50_000)
    pieces = 0

    async def receive() -> Message:
        nonlocal pieces
        pieces += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    sent = await raw_call(small, receive, [])
    assert sent[0]["status"] == 413
    assert pieces < 60
    assert not sent[-1].get("more_body")


async def test_a_stalled_body_is_not_awaited_for_ever(
    small: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.api.middleware.body_limit.LINGER_S", 0.02)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    sent = await raw_call(small, receive, [(b"content-length", b"99999999")])
    assert sent[0]["status"] == 413


async def test_a_body_that_comes_too_slowly_is_a_408(small: Running) -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    sent = await raw_call(small, receive, [(b"x-request-timeout-ms", b"30")])
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


@pytest.fixture
async def broken(tmp_path: Path) -> AsyncIterator[Running]:
    predictor = FakePredictor(error=ZeroDivisionError("the password is 12345"))
    async with running_app(tmp_path, predictor=predictor) as running:
        yield running


async def test_unexpected_errors_reveal_nothing(broken: Running) -> None:
    with structlog.testing.capture_logs() as lines:
        response = await broken.predict()
    assert response.status_code == 500
    assert response.json() == {"detail": "internal error"}
    assert "x-request-id" in response.headers
    (line,) = [line for line in lines if line["event"] == "unexpected error"]
    assert line["log_level"] == "error"
    assert line["exc_info"]


async def metric_values(tezi: Running) -> Callable[..., float | None]:
    """Looks up a metric's value by its name and labels."""
    text = (await tezi.client.get("/api/v1/metrics")).text
    found = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return lambda name, **labels: found.get((name, frozenset(labels.items())))


async def test_requests_are_counted_by_template_and_status(tezi: Running) -> None:
    for code in ("500001", "500002", "5x"):
        await tezi.predict(bse_code=code)
    await tezi.client.get("/nothing/1")
    await tezi.client.get("/nothing/2")
    await tezi.client.request("BREW", "/live")
    await tezi.client.get("/static/console.js")
    first = await tezi.client.get("/metrics")
    assert first.headers["content-type"].startswith("text/plain; version=")
    value = await metric_values(tezi)

    def count(method: str, route: str, status: int) -> float | None:
        return value("http_requests_total", method=method, route=route, status=str(status))

    assert count("POST", "/api/v1/predict", 200) == 2
    assert count("POST", "/api/v1/predict", 422) == 1
    assert count("GET", "unmatched", 404) == 2
    assert count("OTHER", "/live", 405) == 1
    assert count("GET", "/static/{name}", 200) == 1
    assert count("GET", "/metrics", 200) == 1
    labels = {"method": "POST", "route": "/api/v1/predict"}
    assert value("http_request_duration_seconds_count", **labels) == 3
    assert (value("http_request_duration_seconds_sum", **labels) or 0) > 0


async def test_predictions_and_triton_requests_are_counted(tezi: Running) -> None:
    await tezi.until_ready()
    await tezi.predict()
    await tezi.batch(*(item() for _ in range(7)), item("000000"), item(day="2027-01-01"))
    tezi.predictor.error = PredictorUnavailableError("x")
    await tezi.predict()
    value = await metric_values(tezi)
    assert value("predictions_total", variant="fp32", outcome="ok") == 8
    assert value("predictions_total", variant="fp32", outcome="unknown_stock") == 1
    assert value("predictions_total", variant="fp32", outcome="future_date") == 1
    assert value("predictions_total", variant="fp32", outcome="unavailable") == 1
    seconds = "predictor_request_duration_seconds_count"
    assert value(seconds, variant="fp32", outcome="ok") == 2
    assert value(seconds, variant="fp32", outcome="error") == 1
    assert value("predictor_request_rows_sum", variant="fp32") == 9
    assert value("predictor_request_rows_bucket", variant="fp32", le="1.0") == 2
    assert value("predictor_request_rows_bucket", variant="fp32", le="10.0") == 3
    assert value("predictor_request_rows_bucket", variant="fp32", le="+Inf") == 3
    assert value("http_requests_in_flight") == 1  # this one
    assert value("predictor_requests_in_flight") == 0
    assert value("predictor_requests_waiting") == 0
    assert value("directory_stocks") == 4
    assert value("gateway_ready") in (0.0, 1.0)
    assert value("model_version_info", variant="fp32", model_version="1") == 1


async def log_lines(tezi: Running, *calls: Any) -> list[Any]:
    with structlog.testing.capture_logs() as lines:
        for call in calls:
            await call
    return [line for line in lines if line["event"] == "request"]


async def test_refusals_are_logged_and_successes_are_not(tezi: Running) -> None:
    tezi.predictor.errors["int8"] = PredictorUnavailableError("x")
    lines = await log_lines(
        tezi, tezi.client.get("/live"), tezi.client.get("/nothing?q=secret"), tezi.predict()
    )
    (line,) = lines
    assert (line["path"], line["status"], line["log_level"]) == ("/nothing", 404, "info")
    assert line["client"] == "127.0.0.1"
    assert line["ms"] > 0
    tezi.predictor.error = PredictorUnavailableError("the cable is out")
    (line,) = await log_lines(tezi, tezi.predict())
    assert (line["status"], line["log_level"]) == (503, "warning")
    assert line["reason"] == "the cable is out"


async def test_at_debug_successes_are_logged_too_but_not_polled_paths(tmp_path: Path) -> None:
    async with running_app(tmp_path, log_level="debug") as tezi:
        paths = ("/live", "/ready", "/metrics")
        (line,) = await log_lines(tezi, *map(tezi.client.get, paths))
        assert (line["path"], line["status"], line["log_level"]) == ("/metrics", 200, "debug")


async def test_connections_are_closed_while_draining(tezi: Running) -> None:
    assert "connection" not in (await tezi.client.get("/live")).headers
    tezi.traffic.drain()
    assert (await tezi.client.get("/live")).headers["connection"] == "close"
    assert (await tezi.predict()).status_code == 200


class Call:
    """One request through a piece of middleware, with what was sent."""

    def __init__(self, *, starts: bool, ends_with: BaseException) -> None:
        self.sent: list[Message] = []
        self._starts = starts
        self._ends_with = ends_with

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert REQUEST_ID.get()
        if self._starts:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise self._ends_with

    async def run(self, traffic: Traffic) -> None:
        async def receive() -> Message:
            raise AssertionError

        async def send(message: Message) -> None:
            self.sent.append(message)

        app = RequestIdMiddleware(UnexpectedErrorMiddleware(self.app, traffic=traffic))
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        await app(scope, receive, send)
        assert scope[STATUS_KEY]


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
async def test_a_partial_response_is_aborted(error: type[BaseException]) -> None:
    traffic = Traffic()
    traffic.drain()
    call = Call(starts=True, ends_with=error())
    with pytest.raises(error):
        await call.run(traffic)
    assert len(call.sent) == 1


async def test_requests_cancelled_by_the_shutdown_are_told_to_retry() -> None:
    traffic = Traffic()
    traffic.drain()
    call = Call(starts=False, ends_with=asyncio.CancelledError())
    await call.run(traffic)
    assert call.sent[0]["status"] == 503
    assert b"stopping" in call.sent[1]["body"]


async def test_other_cancellations_pass() -> None:
    with pytest.raises(asyncio.CancelledError):
        await Call(starts=False, ends_with=asyncio.CancelledError()).run(Traffic())


async def test_other_protocols_pass_through(tezi: Running) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "websocket", "path": "/live", "headers": []}
    await tezi.app(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000, "reason": ""}]


async def test_the_client_is_who_a_trusted_proxy_names(tmp_path: Path) -> None:
    built = build_app(tmp_path, market=False, trusted_proxies="127.0.0.1, 10.0.0.0/8")
    config = configured(built.app, built.settings)
    config.load()
    headers = {"x-forwarded-for": "198.51.100.7, 10.1.2.3"}
    for peer, client in (("127.0.0.1", "198.51.100.7"), ("203.0.113.9", "203.0.113.9")):
        transport = httpx.ASGITransport(config.loaded_app, client=(peer, 5))
        with structlog.testing.capture_logs() as lines:
            async with httpx.AsyncClient(transport=transport, base_url="http://tezi") as caller:
                await caller.get("/nothing", headers=headers)
        assert [line["client"] for line in lines if line["event"] == "request"] == [client]


async def test_other_hosts_are_refused_if_hosts_are_named(tmp_path: Path) -> None:
    async with running_app(tmp_path, allowed_hosts="Tezi, *.example.com") as tezi:
        for host, status in (
            ("tezi", 200),
            ("a.EXAMPLE.com:8080", 200),
            ("localhost:8080", 200),
            ("10.1.2.3:8080", 200),  # as an orchestrator's probes ask; no name leads here
            ("[::1]:8080", 200),
            ("[::1]", 200),
            ("evil.example.org", 400),
            ("evil-example.com", 400),
            ("example.com.evil.org", 400),
            ("10.1.2.3.evil.org", 400),
            ("tezi@evil.org", 400),
            ("", 400),
        ):
            response = await tezi.client.get("/live", headers={"host": host})
            assert response.status_code == status, host
            assert status == 200 or "TEZI_ALLOWED_HOSTS" in response.json()["detail"]


async def test_the_read_key_is_asked_for_where_one_is_set(tmp_path: Path) -> None:
    key = "k" * 32
    options = {"read_key": key, "admin_token": ADMIN_TOKEN}
    async with running_app(tmp_path, **options) as tezi:
        for headers, status in (({}, 401), ({"X-API-Key": "x"}, 401), ({"x-api-key": key}, 200)):
            for path in ("/api/v1/stocks", "/api/v1/models", "/api/v1/cache/stats"):
                response = await tezi.client.get(path, headers=headers)
                assert response.status_code == status
            response = await tezi.client.post("/api/v1/predict", json=item(), headers=headers)
            assert response.status_code == status
            for path in ("/", "/live", "/metrics", "/openapi.json"):
                assert (await tezi.client.get(path, headers=headers)).status_code == 200
        assert (
            await tezi.client.post("/api/v1/cache/clear", headers=AUTHORIZED)
        ).status_code == 200


async def test_head_is_get_without_a_body(tezi: Running) -> None:
    response: httpx.Response = await tezi.client.head("/live")
    assert response.status_code == 200
