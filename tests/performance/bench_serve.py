"""`python -m tests.performance serve`: one request at a time and 16 in flight, REST and gRPC.

Every request asks for another stock and day, so that no cache and no branch predictor helps. The
baseline is the naive service on the same database and model, in the same run.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import cycle
from pathlib import Path

import httpx
import numpy as np
import uvloop

from preprocess.repository.stable import stable_version
from preprocess.settings import Settings, load_settings
from preprocess.store import open_store
from preprocess.training.folder import find_model
from tests.integration.stack import free_ports, running
from tests.performance.load import Load, grpc_load, rest_load
from tests.performance.market import SEED
from tests.performance.pairs import Pair, random_pairs
from tests.performance.report import Report
from tests.performance.row import Row

# An ensemble with trivial features on the reference machine, at 1 and at 9 in flight.
FLOOR_MS, FLOOR_RATE = 0.64, 4_700.0


def run(*, quick: bool, command: str) -> Report:
    """Measure; starts the stack of the configured data folder unless it runs already."""
    settings = load_settings()
    pairs = fresh_pairs(settings, 200_000)
    model = find_model(settings.models_dir, stable_version(settings.versions_dir).model_id)
    seconds = 2.0 if quick else 10.0
    loads: dict[str, Load] = {}
    with ExitStack() as stack:
        if not _is_up(settings):
            stack.enter_context(running(settings))
        naive_url = stack.enter_context(_naive(settings, model.path / "model.pickle"))
        ways = {
            "naive": (rest_load, naive_url),
            "rest": (rest_load, settings.http_url),
            "grpc": (grpc_load, settings.triton_grpc_address),
        }
        for name, (way, address) in ways.items():
            for in_flight in (1, 16):
                uvloop.run(way(address, pairs, in_flight, seconds / 5))  # warm-up
                measured = uvloop.run(way(address, pairs, in_flight, seconds))
                loads[f"{name}_c{in_flight}"] = measured
    p50 = {name: float(np.median(load.latencies_ms)) for name, load in loads.items()}
    naive_ms, naive_rate = p50["naive_c1"], loads["naive_c16"].rate
    return Report(
        name="serve",
        command=command,
        seed=SEED,
        rows=[
            Row("rest_c1_p50", p50["rest_c1"], "ms", naive_ms),
            Row("rest_c16_rate", loads["rest_c16"].rate, "/s", naive_rate, 4_000.0),
            Row("grpc_c1_p50", p50["grpc_c1"], "ms", naive_ms, FLOOR_MS),
            Row("grpc_c16_rate", loads["grpc_c16"].rate, "/s", naive_rate, FLOOR_RATE),
        ],
        samples={name: load.latencies_ms for name, load in loads.items()},
    )


def fresh_pairs(settings: Settings, count: int) -> Iterator[Pair]:
    """Random pairs of stock and trading day; none comes again before all `count` have come."""
    with closing(open_store(settings)) as store:
        return cycle(random_pairs(store.columns(), count, SEED))


def _is_up(settings: Settings) -> bool:
    try:
        return httpx.get(f"{settings.http_url}/ready", timeout=2.0, trust_env=False).is_success
    except httpx.TransportError:
        return False


@contextmanager
def _naive(settings: Settings, model_file: Path) -> Iterator[str]:
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    arguments = [str(settings.database_path), str(model_file), str(port)]
    process = subprocess.Popen([sys.executable, "-m", "tests.performance.naive", *arguments])
    try:
        transport = httpx.HTTPTransport(retries=8)  # with growing pauses, about 60 s in all
        with httpx.Client(transport=transport, timeout=10.0, trust_env=False) as client:
            client.get(url)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)
