"""What nginx does with the shipped configuration, before two servers that a test leads."""

import asyncio
import gzip
import shutil
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway.stack.nginx import INCLUDES, LEAVING, deadline
from tests.config.replica import Replica, replicas
from tests.integration.stack import free_ports
from tests.nginx import certificate, serving, shipped

pytestmark = pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
    reason="nginx is not installed",
)
PREDICT, BATCH = "/api/v1/predict", "/api/v1/batch_predict"
ROLLBACK, TRAFFIC = "/api/v1/models/rollback", "/api/v1/models/traffic"
REFUSED = {"x-content-type-options", "x-request-id", "x-process-time", "cache-control"}


@dataclass
class Front:
    """nginx before two replicas."""

    url: str
    client: httpx.AsyncClient
    one: Replica
    other: Replica

    @property
    def both(self) -> tuple[Replica, Replica]:
        return self.one, self.other

    def asked(self, path: str) -> int:
        """How often both were asked for `path`."""
        return sum(replica.asked[path] for replica in self.both)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shipped(tmp_path / "nginx")


@pytest.fixture
async def front(folder: Path) -> AsyncIterator[Front]:
    async with (
        replicas() as (one, other),
        serving(folder, free_ports(1)[0], [one.port, other.port]) as url,
        httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as client,
    ):
        yield Front(url, client, one, other)


def assert_refusal(response: httpx.Response, status: int) -> None:
    """That nginx has refused it as the API does."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert isinstance(response.json()["detail"], str)
    assert set(response.headers) >= REFUSED
    assert ("retry-after" in response.headers) is (status in (429, 503))


@pytest.mark.serial
async def test_the_gateway_with_the_fewest_requests_is_used(front: Front) -> None:
    front.one.delay_s = 0.8
    held = [asyncio.create_task(front.client.post(PREDICT, json={})) for _ in range(4)]
    await asyncio.sleep(0.2)  # the quick one is done with its two, the slow one is not
    before = front.one.asked[PREDICT]
    assert before >= 1
    for _ in range(30):
        assert (await front.client.post(PREDICT, json={})).status_code == 200
    assert front.one.asked[PREDICT] == before
    await asyncio.gather(*held)


@pytest.mark.parametrize("path", [PREDICT, BATCH])
async def test_a_lost_prediction_is_retried_on_the_other_gateway(front: Front, path: str) -> None:
    front.one.drops = True
    for _ in range(4):
        assert (await front.client.post(path, json={})).status_code == 200
    assert front.one.asked[path] >= 1
    assert front.other.asked[path] == 4


@pytest.mark.parametrize(("method", "path"), [("POST", ROLLBACK), ("PUT", TRAFFIC)])
async def test_a_change_is_never_sent_twice(front: Front, method: str, path: str) -> None:
    front.one.drops = front.other.drops = True
    assert_refusal(await front.client.request(method, path, json={}), 503)
    assert front.asked(path) == 1


async def test_a_change_that_was_not_sent_goes_to_the_other_gateway(front: Front) -> None:
    await front.one.stop()
    for _ in range(3):
        assert (await front.client.post(ROLLBACK)).status_code == 200
    assert front.other.asked[ROLLBACK] == 3
    await front.one.start()


@pytest.fixture
def impatient(folder: Path) -> None:
    """A default deadline of 0.1 s, which leaves a gateway 0.6 s."""
    (folder / INCLUDES / "deadline.conf").write_text(deadline(100))


async def test_a_hung_gateway_is_left_soon_after_the_deadline(
    impatient: None, front: Front
) -> None:
    front.one.delay_s = 50.0
    answers = await asyncio.gather(*(front.client.post(PREDICT, json={}) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert front.one.asked[PREDICT] >= 1


async def test_an_answer_within_the_deadline_arrives_and_is_requested_once(front: Front) -> None:
    front.one.delay_s = front.other.delay_s = 1.5  # of the 2 s that a client has by default
    assert (await front.client.post(PREDICT, json={})).status_code == 200
    assert front.asked(PREDICT) == 1


async def test_a_504_of_a_gateway_is_not_retried(front: Front) -> None:
    front.one.statuses[PREDICT] = front.other.statuses[PREDICT] = 504
    assert (await front.client.post(PREDICT, json={})).status_code == 504
    assert front.asked(PREDICT) == 1


async def test_a_client_with_a_long_deadline_waits_for_one_gateway(
    impatient: None, front: Front
) -> None:
    front.one.delay_s = front.other.delay_s = 1.3
    patient = front.client.post(BATCH, json={}, headers={"x-request-timeout-ms": "5000"})
    usual = front.client.post(BATCH, json={}, headers={"x-request-timeout-ms": "100"})
    waited, given_up = await asyncio.gather(patient, usual)
    assert waited.status_code == 200
    assert_refusal(given_up, 504)
    assert front.asked(BATCH) == 1 + 3


async def test_responses_close_their_connections_before_a_reload(
    front: Front, folder: Path
) -> None:
    assert "close" not in (await front.client.post(PREDICT)).headers["connection"]
    (folder / LEAVING).touch()
    for path in (PREDICT, BATCH):
        answer = await front.client.post(path, json={})
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    (folder / LEAVING).unlink()
    assert "close" not in (await front.client.post(PREDICT)).headers["connection"]


async def test_without_a_gateway_the_answer_is_503_with_retry_after(front: Front) -> None:
    for replica in front.both:
        await replica.stop()
    for _ in range(6):
        assert_refusal(await front.client.post(PREDICT, json={}), 503)
    for replica in front.both:
        await replica.start()
    deadline = time.monotonic() + 60.0
    while (await front.client.post(PREDICT, json={})).status_code != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_large_bodies_and_headers_are_refused(front: Front) -> None:
    assert_refusal(await front.client.post(PREDICT, content=b"x" * 262_145), 413)
    assert (await front.client.post(PREDICT, content=b"x" * 262_144)).status_code == 200
    assert_refusal(await front.client.get("/", headers={"x-long": "x" * 9000}), 494 - 94)
    assert_refusal(await front.client.get("/" + "x" * 9000), 414)
    assert front.asked(PREDICT) == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET / HTTP/1.1\r\n", 400),  # without a host
        ("GET / HTTP/2.0\r\nHost: x\r\n", 505),
        (f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n", 501),
        (f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n", 400),
        (
            f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            "Transfer-Encoding: chunked\r\n",
            400,
        ),
    ],
)
async def test_malformed_requests_are_refused_in_json(front: Front, head: str, status: int) -> None:
    reader, writer = await asyncio.open_connection(*front.url.removeprefix("http://").split(":"))
    writer.write(f"{head}\r\n".encode())
    answer = (await reader.readuntil(b"}")).decode()
    writer.close()
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert '{"detail":"The ' in answer
    assert "text/html" not in answer
    assert front.asked(PREDICT) == 0


async def test_a_chunked_body_reaches_a_gateway_with_a_content_length(front: Front) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5_000):
            yield b"x"

    assert (await front.client.post(PREDICT, content=chunks())).status_code == 200
    (head,) = front.one.heads + front.other.heads
    assert "content-length: 5000\r\n" in head.lower()
    assert "transfer-encoding" not in head.lower()


async def test_a_request_keeps_its_id(front: Front) -> None:
    await front.client.get("/", headers={"x-request-id": "order-66"})
    await front.client.get("/", headers={"x-request-id": "no good!"})
    heads = "".join(replica.heads[0] for replica in front.both)
    assert "X-Request-ID: order-66" in heads
    assert "no good!" not in heads
    refused = await front.client.get("/" + "x" * 9000, headers={"x-request-id": "order-67"})
    assert refused.headers["x-request-id"]
    assert "X-Forwarded-For: 127.0.0.1" in heads


async def test_security_headers(front: Front) -> None:
    for replica in front.both:
        replica.headers += "x-frame-options: SAMEORIGIN\r\ncontent-security-policy: x\r\n"
    headers = (await front.client.get("/docs")).headers
    assert headers.get_list("x-frame-options") == ["DENY"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "x"
    assert headers["server"] == "nginx"
    assert "strict-transport-security" not in headers


async def test_only_large_answers_are_compressed(front: Front) -> None:
    for replica in front.both:
        replica.body = b'{"detail":"' + b"x" * 10_000 + b'"}'
    zipped = {"accept-encoding": "gzip"}
    batch = await front.client.post(BATCH, headers=zipped)
    assert (batch.headers["content-encoding"], batch.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert batch.content == front.one.body
    for replica in front.both:
        replica.body = b"[]"
    assert "content-encoding" not in (await front.client.post(BATCH, headers=zipped)).headers


async def test_static_files_are_cached(front: Front) -> None:
    path, kept = "/static/docs/redoc.js", "cache-control: public, max-age=86400\r\n"
    for replica in front.both:
        replica.headers = f"content-type: text/javascript\r\n{kept}vary: accept-encoding\r\n"
        replica.body = b"plain"
    assert (await front.client.get(path, headers={"accept-encoding": "br"})).text == "plain"
    for replica in front.both:
        replica.headers += "content-encoding: gzip\r\n"
        replica.body = gzip.compress(b"zipped")
    for words in ("gzip", "gzip, br", "deflate, gzip;q=1.0"):
        answer = await front.client.get(path, headers={"accept-encoding": words})
        assert (answer.text, answer.headers["content-encoding"]) == ("zipped", "gzip")
        assert answer.headers["cache-control"] == "public, max-age=86400"
        assert answer.headers["x-frame-options"] == "DENY"
    assert front.asked(path) == 2
    for replica in front.both:
        await replica.stop()
    assert (await front.client.get(path, headers={"accept-encoding": ""})).text == "plain"
    for replica in front.both:
        await replica.start()


@pytest.mark.parametrize(
    ("written", "client"),
    [
        ("127.0.0.9, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, made up", "127.0.0.1"),
        ('", "who": "root', "127.0.0.1"),
    ],
)
async def test_a_gateway_is_told_one_client(front: Front, written: str, client: str) -> None:
    """Not what the client has written of itself."""
    await front.client.get("/", headers={"x-forwarded-for": written})
    (head,) = front.one.heads + front.other.heads
    assert f"\r\nX-Forwarded-For: {client}\r\n" in head


async def test_metrics_are_for_this_machine_only(front: Front) -> None:
    assert (await front.client.get("/metrics")).status_code == 200
    # By way of a proxy on this machine, and whatever the client itself has written before.
    for clients in ("203.0.113.9", "127.0.0.1, 203.0.113.9"):
        behind = await front.client.get("/metrics", headers={"x-forwarded-for": clients})
        assert_refusal(behind, 403)
    elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(transport=elsewhere, base_url=front.url) as outside:
        for path in ("/metrics", "/api/v1/metrics"):
            assert_refusal(await outside.get(path), 403)


@pytest.fixture
def strict(folder: Path) -> None:
    """Limits that count everybody, and one request a minute beyond the burst."""
    limits = folder / INCLUDES / "limits.conf"
    text = limits.read_text("utf-8").replace("127.0.0.0/8 1;", "127.0.0.0/8 0;")
    limits.write_text(text.replace("rate=50r/s", "rate=1r/m"))


async def test_the_rate_limit(strict: None, front: Front) -> None:
    path = "/api/v1/stocks"
    answers = [await front.client.get(path) for _ in range(103)]
    assert {answer.status_code for answer in answers[:101]} == {200}
    assert_refusal(answers[101], 429)
    assert_refusal(answers[102], 429)
    assert front.asked(path) == 101
    assert (await front.client.get("/ready")).status_code == 200
    assert (await front.client.post(PREDICT, json={})).status_code == 200


@pytest.mark.serial
async def test_the_connection_limit(strict: None, front: Front) -> None:
    for replica in front.both:
        replica.delay_s = 1.0
    host, port = front.url.removeprefix("http://").split(":")
    request = (
        f"POST {PREDICT} HTTP/1.1\r\nhost: {host}\r\nx-request-timeout-ms: 9000\r\n"
        "content-length: 0\r\nconnection: close\r\n\r\n"
    )

    async def ask() -> str:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request.encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        return answer

    answers = await asyncio.gather(*(ask() for _ in range(270)))
    refused = [answer for answer in answers if not answer.startswith("HTTP/1.1 200 ")]
    assert len(refused) == 270 - 256
    for answer in refused:
        assert answer.startswith("HTTP/1.1 429 ")
        assert "Retry-After: 1\r\n" in answer
        assert answer.endswith('{"detail":"Too many requests; try again"}')


async def test_gateways_that_all_failed_are_still_used(front: Front) -> None:
    for replica in front.both:
        replica.drops = True
    for _ in range(6):
        assert_refusal(await front.client.post(PREDICT), 503)
    for replica in front.both:
        replica.drops = False
    assert (await front.client.post(PREDICT)).status_code == 200  # although both are left alone now


async def test_sticky_sessions(tmp_path: Path) -> None:
    folder = shipped(tmp_path / "nginx", ["sticky"])
    async with (
        replicas() as (one, other),
        serving(folder, free_ports(1)[0], [one.port, other.port]) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        for _ in range(10):
            await client.post(PREDICT)
        assert sorted([one.asked[PREDICT], other.asked[PREDICT]]) == [0, 10]


async def test_tls(tmp_path: Path) -> None:
    folder = shipped(tmp_path / "nginx", ["tls", "status"])
    certificate(folder)
    plain, secure, status = free_ports(3)
    for name, old, new in (("tls", "8443 ssl;", secure), ("status", "8090;", status)):
        file = folder / INCLUDES / f"{name}.conf"
        text = file.read_text("utf-8")
        assert text.count(old) == 1
        file.write_text(text.replace(old, old.replace(old[:4], str(new))))
    trust = ssl.create_default_context(cafile=folder / INCLUDES / "tls" / "certificate.pem")
    async with (
        replicas() as (one, other),
        serving(folder, plain, [one.port, other.port]) as url,
        httpx.AsyncClient(verify=trust, trust_env=False) as client,
    ):
        answer = await client.get(f"https://localhost:{secure}/")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert "X-Forwarded-Proto: https" in (one.heads + other.heads)[0]
        assert "strict-transport-security" not in (await client.get(url)).headers
        assert_refusal(await client.get(f"http://localhost:{secure}/"), 400)
        assert "Active connections" in (await client.get(f"http://127.0.0.1:{status}/status")).text
        trust.maximum_version = ssl.TLSVersion.TLSv1_2
        trust.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        with (
            socket.create_connection(("127.0.0.1", secure), timeout=5) as raw,
            trust.wrap_socket(raw, server_hostname="localhost") as wrapped,
        ):
            assert wrapped.version() == "TLSv1.2"
