"""The profile's caller: what it sends, what it times, and what it refuses to time."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from preprocess.errors import ServerError
from preprocess.profiling.requests import BATCH, ONE
from preprocess.profiling.rest_client import RestClient
from tests.integration.stack import free_ports

PAIR = ("500325", "2026-08-14")
SLOW_S = 0.05


@contextmanager
def gateway(status: int, answer: Any, asked: list[tuple[str, Any]]) -> Iterator[RestClient]:
    """A client of a server that takes its time and answers with this."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            asked.append((self.path, json.loads(self.rfile.read(length))))
            time.sleep(SLOW_S)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("x-process-time", "0.025000")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with closing(RestClient(f"http://127.0.0.1:{server.server_port}")) as client:
            yield client
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_both_clocks_of_a_single_request() -> None:
    asked: list[tuple[str, Any]] = []
    with gateway(200, {"probability": 0.5}, asked) as client:
        for _ in range(2):
            answered = client.ask(ONE, "int8", [PAIR])
            assert answered.application == 25.0
            assert SLOW_S * 1e3 < answered.end_to_end < 2_000
    item = {"bse_code": PAIR[0], "prediction_date": PAIR[1], "variant": "int8"}
    assert asked == [("/api/v1/predict", item)] * 2


def test_a_batch_is_one_request() -> None:
    asked: list[tuple[str, Any]] = []
    with gateway(200, [{"probability": 0.5}, {"probability": 0.25}], asked) as client:
        client.ask(BATCH, "fp32", [PAIR, PAIR])
    ((path, body),) = asked
    assert (path, len(body["predictions"])) == ("/api/v1/batch_predict", 2)


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (503, {"detail": "busy"}, "answers 503.*busy"),
        (200, [{"probability": 0.5}, {"probability": None, "error": {"code": "x"}}], "refuses.*x"),
    ],
)
def test_what_is_no_prediction_is_not_timed(status: int, answer: Any, words: str) -> None:
    with gateway(status, answer, []) as client, pytest.raises(ServerError, match=words):
        client.ask(BATCH, "fp32", [PAIR, PAIR])


def test_nobody_there_is_an_error() -> None:
    (port,) = free_ports(1)
    client = RestClient(f"http://127.0.0.1:{port}")
    with closing(client), pytest.raises(ServerError, match="does not answer /api/v1/predict"):
        client.ask(ONE, "fp32", [PAIR])
