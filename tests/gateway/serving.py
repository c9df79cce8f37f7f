"""A gateway on the fake predictor as a process: python -m tests.gateway.serving HOME PORT DELAY."""

import sys
from pathlib import Path

from gateway.server import serve
from tests.gateway.fakes import FakePredictor, build_app

if __name__ == "__main__":
    home, port, delay = sys.argv[1:4]
    built = build_app(
        Path(home),
        predictor=FakePredictor(delay_s=float(delay)),
        http_port=int(port),
        request_timeout_ms=60_000,
        drain_s=float(sys.argv[4]),
    )
    serve(built.app, built.settings, built.traffic)
