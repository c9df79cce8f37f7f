"""`tezi bench serve`: one request at a time and 16 in flight, REST and Triton's gRPC.

Every request asks for another stock and day, so that no cache and no branch predictor helps. The
baseline is the naive service on the same database and model, in the same run.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import httpx
import numpy as np
import psutil
import uvloop

from preprocess.calendar import from_day_number
from preprocess.features.row import MINIMUM_ROWS
from preprocess.models.folder import find_model
from preprocess.repository.stable import stable_version
from preprocess.settings import Settings, load_settings
from preprocess.store import open_store
from tests.integration.stack import free_ports, running
from tests.performance.load import Load, Pair, grpc_load, http_load, rest_load
from tests.performance.load_test.processes import component_of
from tests.performance.report import Report
from tests.performance.row import Row

SEED = 20260814
DAYS_BACK = 250
# An ensemble with trivial features on the reference machine, at 1 and at 9 in flight.
FLOOR_MS, FLOOR_RATE = 0.64, 4_700.0
PARTS = ("gateway", "triton")

Spent = dict[str, float]


def run(*, quick: bool, command: str) -> Report:
    """Measure; starts the stack of the configured data folder unless it runs already."""
    settings = load_settings()
    pairs = fresh_pairs(settings, 200_000)
    model = find_model(settings.models_dir, stable_version(settings.versions_dir).model_id)
    seconds = 2.0 if quick else 10.0
    with _served(settings) as root, _naive(settings, model.path / "model.pickle") as naive_url:
        stream = iter(pairs)
        ways = {
            "naive_c1": (rest_load, naive_url, 1),
            "naive_c16": (rest_load, naive_url, 16),
            "rest_c1": (rest_load, settings.http_url, 1),
            "rest_c4": (rest_load, settings.http_url, 4),
            "rest_c16": (rest_load, settings.http_url, 16),
            "http_c1": (http_load, settings.triton_http_address, 1),
            "http_c16": (http_load, settings.triton_http_address, 16),
            "grpc_c1": (grpc_load, settings.triton_grpc_address, 1),
            "grpc_c16": (grpc_load, settings.triton_grpc_address, 16),
        }
        loads: dict[str, Load] = {}
        spent: dict[str, Spent] = {}
        for name, (way, address, in_flight) in ways.items():
            uvloop.run(way(address, stream, in_flight, seconds / 5))  # warm-up
            before = _cpu_s(root)
            loads[name] = uvloop.run(way(address, stream, in_flight, seconds))
            spent[name] = {part: cpu_s - before[part] for part, cpu_s in _cpu_s(root).items()}
    return Report(
        name="serve",
        command=command,
        seed=SEED,
        rows=_rows(loads) + _cpu_rows(loads, spent),
        samples={name: load.latencies_ms for name, load in loads.items()},
    )


def fresh_pairs(settings: Settings, count: int) -> Iterator[Pair]:
    """Pairs of stock and trading day of the last 250, none twice before all were there."""
    store = open_store(settings)
    try:
        found = [
            (history.bse_code, from_day_number(day).isoformat())
            for history in store.histories()
            for day in history.prices.days[MINIMUM_ROWS:][-DAYS_BACK:]
        ]
    finally:
        store.close()
    order = np.random.default_rng(SEED).permutation(len(found))[:count]
    return cycle([found[place] for place in order])


def _rows(loads: dict[str, Load]) -> list[Row]:
    def median(name: str) -> float:
        return float(np.median(loads[name].latencies_ms))

    naive_ms, naive_rate = median("naive_c1"), loads["naive_c16"].rate
    return [
        Row("rest_c1_p50", median("rest_c1"), "ms", naive_ms),
        Row("rest_c16_rate", loads["rest_c16"].rate, "/s", naive_rate, 4_000.0, "cold"),
        Row("http_c1_p50", median("http_c1"), "ms", naive_ms, FLOOR_MS, "floor"),
        Row("http_c16_rate", loads["http_c16"].rate, "/s", naive_rate, FLOOR_RATE, "floor"),
        Row("grpc_c1_p50", median("grpc_c1"), "ms", naive_ms, FLOOR_MS, "floor"),
        Row("grpc_c16_rate", loads["grpc_c16"].rate, "/s", naive_rate, FLOOR_RATE, "floor"),
    ]


def _cpu_s(root: psutil.Process | None) -> Spent:
    """Seconds of CPU so far of the parts of a stack; empty for one that was there before."""
    if root is None:
        return {}
    spent = dict.fromkeys(PARTS, 0.0)
    for process in root.children(recursive=True):
        part = component_of(process.cmdline())
        if part in spent:
            spent[part] += sum(process.cpu_times()[:2])
    return spent


def _cpu_rows(loads: dict[str, Load], spent: dict[str, Spent]) -> list[Row]:
    """What a request took of each part, by how many were in flight."""
    return [
        Row(f"{name}_{part}_cpu", cpu_s * 1e3 / len(loads[name].latencies_ms), "ms")
        for name in spent
        if name.startswith("rest_")
        for part, cpu_s in spent[name].items()
    ]


@contextmanager
def _served(settings: Settings) -> Iterator[psutil.Process | None]:
    """A stack, and its first process if it is started here."""
    try:
        up = httpx.get(f"{settings.http_url}/ready", timeout=2.0, trust_env=False).is_success
    except httpx.TransportError:
        up = False
    if up:
        yield None
    else:
        with running(settings) as stack:
            yield psutil.Process(stack.process.pid)


@contextmanager
def _naive(settings: Settings, model_file: Path) -> Iterator[str]:
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.performance.naive_service",
            str(settings.database_path),
            str(model_file),
            str(port),
        ]
    )
    try:
        transport = httpx.HTTPTransport(retries=8)  # with growing pauses, about 60 s in all
        with httpx.Client(transport=transport, timeout=10.0, trust_env=False) as client:
            client.get(url)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)
