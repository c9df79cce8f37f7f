"""What a stranger gets from each call of each port; the table in SECURITY.md says the same."""

import json
import socket

import grpc
import httpx
import psutil
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from preprocess.repository.control_key import GRPC_HEADER, HEADER, read_key
from preprocess.settings import Settings
from tests.integration.stack import RunningStack
from tests.paths import PROJECT_ROOT

pytestmark = pytest.mark.triton

# What the table says, the outcome, and the calls that it means.
GATEWAY = {
    "POST /api/v1/predict, batch_predict": (
        "answers",
        "POST /api/v1/predict; POST /api/v1/batch_predict",
    ),
    "GET /, /docs, /redoc, /openapi.json, /static/...": (
        "answers",
        "GET /; GET /docs; GET /redoc; GET /openapi.json; GET /static/console.js",
    ),
    "GET /live, /ready, /api/v1/health, stocks, models, cache/stats": (
        "answers",
        "GET /live; GET /ready; GET /api/v1/health; GET /api/v1/stocks; GET /api/v1/models; "
        "GET /api/v1/cache/stats",
    ),
    "GET /metrics, /api/v1/metrics": ("answers", "GET /metrics; GET /api/v1/metrics"),
    "POST /api/v1/models/N/activate, rollback, reload; PUT traffic; POST cache/clear": (
        "refused",
        "POST /api/v1/models/1/activate; POST /api/v1/models/rollback; POST /api/v1/models/reload; "
        "PUT /api/v1/models/traffic; POST /api/v1/cache/clear",
    ),
}
TRITON_HTTP = {
    "inference (infer, generate)": (
        "answers",
        "POST /v2/models/features/infer; POST /v2/models/features/versions/1/infer; "
        "POST /v2/models/features/generate; POST /v2/models/features/generate_stream",
    ),
    "health, metadata, model configs, statistics": (
        "answers",
        "GET /v2; GET /v2/health/live; GET /v2/health/ready; GET /v2/models/stats; "
        "GET /v2/models/features; GET /v2/models/features/config; GET /v2/models/features/stats",
    ),
    "list, load, unload models": (
        "refused",
        "POST /v2/repository/index; POST /v2/repository/models/stranger/load; "
        "POST /v2/repository/models/features/unload; POST /v2/repository/x/index; "
        "POST /v2/repository/x/models/stranger/load",
    ),
    "shared memory: status, register, unregister": (
        "refused",
        "GET /v2/systemsharedmemory/status; POST /v2/systemsharedmemory/region/x/register; "
        "POST /v2/systemsharedmemory/unregister; GET /v2/cudasharedmemory/status; "
        "POST /v2/cudasharedmemory/region/x/register; POST /v2/cudasharedmemory/unregister",
    ),
    "trace and log settings": (
        "refused",
        "GET /v2/trace/setting; POST /v2/trace/setting; GET /v2/logging; POST /v2/logging; "
        "GET /v2/models/features/trace/setting; POST /v2/models/features/trace/setting",
    ),
}
# Every call of the service that is not among these is refused.
TRITON_GRPC_OPEN = {
    *("ServerLive", "ServerReady", "ServerMetadata"),
    *("ModelReady", "ModelMetadata", "ModelInfer", "ModelStreamInfer"),
    *("ModelConfig", "ModelStatistics"),
}


def outcomes(base: str, calls: str, headers: dict[str, str]) -> set[str]:
    """What each of the calls comes to."""
    with httpx.Client(base_url=base, headers=headers, timeout=30, trust_env=False) as client:
        statuses = [client.request(*call.split(" ")).status_code for call in calls.split("; ")]
    return {"refused" if status in (401, 403) else "answers" for status in statuses}


def assert_documented(port: str, call: str, gets: str) -> None:
    assert f"| {port} | {call} | {gets} |" in (PROJECT_ROOT / "SECURITY.md").read_text("utf-8")


# As a form of a web page sends it: a simple request, for which a browser asks no permission.
PAGE = {"content-type": "text/plain", "origin": "https://evil.example"}


def test_the_gateway(demo_stack: RunningStack) -> None:
    for row, (gets, calls) in GATEWAY.items():
        assert outcomes(demo_stack.url, calls, PAGE) == {gets}, row
        assert_documented("8080 REST API", row, gets)


def test_a_client_s_framing_ends_at_the_gateway(demo_stack: RunningStack) -> None:
    """Triton 2.51 crashes of a body in very many chunks."""
    known = httpx.get(f"{demo_stack.url}/api/v1/stocks", trust_env=False).json()["stocks"][0]
    asked_for = {"bse_code": known["bse_code"], "prediction_date": known["newest_price_date"]}
    padded = json.dumps(asked_for).encode() + b" " * 20_000
    response = httpx.post(
        f"{demo_stack.url}/api/v1/predict",
        content=(padded[at : at + 1] for at in range(len(padded))),
        headers={"content-type": "application/json", "x-request-timeout-ms": "60000"},
        timeout=60,
        trust_env=False,
    )
    assert response.status_code == 200, response.text
    with socket.create_connection(("127.0.0.1", demo_stack.settings.http_port), 10) as sent:
        sent.sendall(
            b"POST /api/v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        assert b" 400 " in sent.recv(4096).split(b"\r\n")[0]


def test_triton_over_http(demo_stack: RunningStack) -> None:
    base = f"http://{demo_stack.settings.triton_http_address}"
    key = str(read_key(demo_stack.settings))
    for row, (gets, calls) in TRITON_HTTP.items():
        for headers in (PAGE, {HEADER: key}):
            assert outcomes(base, calls, headers) == {gets}, row
        assert_documented("8000 Triton, HTTP", row, gets)


def test_the_key_of_http_cannot_be_sent(demo_stack: RunningStack) -> None:
    """Whoever may list processes sees it; it ends with a line break, which no header holds."""
    key = next(
        word
        for word in _arguments_of_triton(demo_stack.settings)
        if word.startswith("--http-restricted-api=")
    ).partition(f"{HEADER}=")[2]
    port = demo_stack.settings.triton_http_port
    for value in (key.strip(), f"{key}\t", f"{key} ", f"{key.strip()}\r\n {key.strip()}"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sent:
            head = f"GET /v2/logging HTTP/1.1\r\nHost: x\r\n{HEADER}: {value}\r\n"
            sent.sendall(f"{head}Connection: close\r\n\r\n".encode())
            assert b" 200 " not in sent.recv(4096).split(b"\r\n")[0], value


def _arguments_of_triton(settings: Settings) -> list[str]:

    for process in psutil.process_iter(["name", "cmdline"]):
        words: list[str] = process.info["cmdline"] or []
        if f"--http-port={settings.triton_http_port}" in words:
            return words
    raise AssertionError("there is no such Triton")


def test_triton_over_grpc(demo_stack: RunningStack) -> None:
    key = str(read_key(demo_stack.settings))
    methods = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    assert {method.name for method in methods} > TRITON_GRPC_OPEN
    with grpc.insecure_channel(demo_stack.settings.triton_grpc_address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        def refused(name: str, *metadata: tuple[str, str]) -> bool:
            request = getattr(service_pb2, f"{name.replace('Stream', '')}Request")()
            call = getattr(stub, name)
            try:
                if name == "ModelStreamInfer":
                    list(call(iter([request]), timeout=30, metadata=metadata))
                else:
                    call(request, timeout=30, metadata=metadata)
            except grpc.RpcError as error:
                return "protocol is restricted" in str(error.details())
            return False

        for method in methods:
            name = method.name
            assert refused(name) is (name not in TRITON_GRPC_OPEN), name
            assert refused(name, (GRPC_HEADER, "0" * 64)) is (name not in TRITON_GRPC_OPEN), name
        assert not refused("RepositoryIndex", (GRPC_HEADER, key))
    for row, gets in (
        ("inference, health, metadata, model configs, statistics", "answers"),
        ("list, load, unload models; shared memory; trace and log settings", "refused"),
    ):
        assert_documented("8001 Triton, gRPC", row, gets)


def test_triton_s_metrics_and_nothing_else(demo_stack: RunningStack) -> None:
    base = demo_stack.settings.triton_metrics_url.removesuffix("/metrics")
    assert httpx.get(f"{base}/metrics", trust_env=False).status_code == 200
    other = httpx.post(f"{base}/v2/repository/index", trust_env=False)
    assert other.status_code in (404, 405)
    assert_documented("8002 Triton, metrics", "GET /metrics", "answers")
