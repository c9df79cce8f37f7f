"""A profile: sends requests one at a time, and splits the time that each takes into parts."""

import asyncio
import http.client
import json
import os
import platform
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import PREDICTOR_SECONDS
from gateway.stack.gateways import gateway_environment, wait_until_ready
from gateway.stack.ports import LOOPBACK, free_ports
from gateway.stack.process import Child
from preprocess.errors import ServerError, StoreError
from preprocess.features.row import MINIMUM_ROWS
from preprocess.market.calendar import from_day_number
from preprocess.market.columns import MarketColumns
from preprocess.models.names import FEATURES, classifier_name, ensemble_name
from preprocess.repository.stable import stable_version
from preprocess.settings import Settings
from preprocess.store import open_store

SEED = 20260814
BATCH_ROWS = 100
_SINGLE_PER_BATCH = 5
_DAYS_BACK = 250
_TIMEOUT_S = 30.0

Pair = tuple[str, str]
"""A BSE code and an ISO date."""
Totals = NDArray[np.float64]
"""Since a server started: number of requests, and ms in all, in queues and computing."""


@dataclass(frozen=True, slots=True)
class Profile:
    """`requests` requests of `rows` stocks each. Times are means in ms of one request.

    `percentiles` are of the caller's time, whose mean is `end_to_end`; `application` is the
    X-Process-Time of the gateway's response, `predictor` the gateway's wait for Triton, `ensemble`
    Triton's own time. `features` and `classifier` are the ensemble's two steps without their time
    in queues, which is `queues`.
    """

    rows: int
    requests: int
    percentiles: dict[str, float]
    end_to_end: float
    application: float
    predictor: float
    ensemble: float
    queues: float
    features: float
    classifier: float

    @property
    def parts(self) -> dict[str, float]:
        """Each part is one measurement minus the one nested inside it; together they are all."""
        return {
            "client and HTTP": self.end_to_end - self.application,
            "gateway": self.application - self.predictor,
            "HTTP to Triton and back": self.predictor - self.ensemble,
            "queues in Triton": self.queues,
            "feature lookup": self.features,
            "inference": self.classifier,
            "remainder": self.ensemble - self.queues - self.features - self.classifier,
        }

    @property
    def top(self) -> list[str]:
        """The three most expensive parts, the most expensive first."""
        return sorted(self.parts, key=lambda name: -self.parts[name])[:3]

    def text(self) -> str:
        """For a terminal."""
        stocks = "One stock" if self.rows == 1 else f"{self.rows} stocks"
        quantiles = ", ".join(f"{name} {ms:.3f}" for name, ms in self.percentiles.items())
        rows = {**self.parts, "end to end": self.end_to_end}
        lines = [
            f"{stocks} per request, {self.requests} requests, one at a time ({quantiles} ms):",
            f"  {'part':28s} {'ms':>8s} {'share':>7s}",
            *(f"  {name:28s} {ms:8.3f} {ms / self.end_to_end:7.1%}" for name, ms in rows.items()),
            "  Top three: "
            + ", ".join(f"{name} ({rows[name] / self.end_to_end:.0%})" for name in self.top),
        ]
        return "\n".join(lines) + ".\n"

    def document(self) -> dict[str, Any]:
        """For a JSON document."""
        return {
            "shape": "one" if self.rows == 1 else "batch",
            "rows_each": self.rows,
            "requests": self.requests,
            "percentiles_ms": self.percentiles,
            "end_to_end_ms": self.end_to_end,
            "parts_ms": self.parts,
            "top": self.top,
        }


def machine() -> str:
    """The machine that a profile runs on."""
    return f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"


async def run_profile(
    settings: Settings, *, requests: int, variant: str, advance: Callable[[int, int], None]
) -> list[Profile]:
    """Profile `requests` single requests, then a fifth as many batches of 100 stocks.

    They go to a gateway that is started for them, and on to the running Triton. `advance` is called
    with (done, total) requests.

    Raises:
        ServerError: the gateway or Triton does not answer.
        StoreError: no stock of the market has a history that is long enough.
    """
    with closing(open_store(settings)) as store:
        columns = store.columns()
    counts = {1: requests, BATCH_ROWS: max(requests // _SINGLE_PER_BATCH, 10)}
    pairs = fresh_pairs(columns, sum(2 * rows * count for rows, count in counts.items()))
    total, done = sum(counts.values()), 0

    def step() -> None:
        nonlocal done
        done += 1
        advance(min(done, total), total)

    async with _gateway(settings) as own:
        profiler = _Profiler(own, variant, iter(pairs), step)
        return [
            await asyncio.to_thread(profiler.profile, rows, count) for rows, count in counts.items()
        ]


@asynccontextmanager
async def _gateway(settings: Settings) -> AsyncIterator[Settings]:
    """A gateway in front of the configured Triton, without a prediction cache; its settings."""
    (port,) = free_ports(LOOPBACK, 1)
    own = settings.model_copy(
        update={"http_host": LOOPBACK, "http_port": port, "cache_predictions": False}
    )
    child = await Child.start(
        (sys.executable, "-m", "gateway"), gateway_environment(own), lambda _: None
    )
    try:
        try:
            await wait_until_ready([own.http_url], timeout_s=_TIMEOUT_S)
        except ServerError as error:
            raise ServerError("\n  ".join([str(error), *child.last_lines])) from None
        yield own
    finally:
        await child.stop(own.drain_s + 2.0)


def fresh_pairs(columns: MarketColumns, count: int) -> list[Pair]:
    """Pairs of a stock and one of its last 250 trading days, so that no cache helps.

    They come in random order, and repeat only after every pair has occurred.

    Raises:
        StoreError: no stock has a history that is long enough.
    """
    starts, days = columns.prices.starts, columns.prices["day"]
    firsts = np.maximum(starts[:-1] + MINIMUM_ROWS, starts[1:] - _DAYS_BACK)
    ranges = [np.arange(first, end) for first, end in zip(firsts, starts[1:], strict=True)]
    rows = np.concatenate(ranges)
    if not rows.size:
        raise StoreError(
            f"No stock has more than {MINIMUM_ROWS} price rows: import prices, or run `tezi demo`."
        )
    rows = np.resize(np.random.default_rng(SEED).permutation(rows), count)
    codes = columns.codes[np.searchsorted(starts, rows, side="right") - 1].tolist()
    return [
        (code.decode(), from_day_number(day).isoformat())
        for code, day in zip(codes, days[rows].tolist(), strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Profiler:
    """Sends requests one at a time, and reads all statistics before and after."""

    settings: Settings
    variant: str
    pairs: Iterator[Pair]
    step: Callable[[], None]

    def profile(self, rows: int, count: int) -> Profile:
        """Split the time of `count` requests, after a tenth as many to warm up."""
        version = stable_version(self.settings.versions_dir).model_version
        ensemble = ensemble_name(self.variant, version)
        models = (ensemble, FEATURES, classifier_name(self.variant, version))

        def totals() -> list[Totals]:
            address = self.settings.triton_http_address
            triton = [_triton_totals(address, model) for model in models]
            return [_gateway_totals(self.settings.http_url), *triton]

        connection = http.client.HTTPConnection(
            LOOPBACK, self.settings.http_port, timeout=_TIMEOUT_S
        )
        with closing(connection):
            for _ in range(count // 10 + 1):
                self._request(connection, rows)
            before, times = totals(), []
            for _ in range(count):
                times.append(self._request(connection, rows))
                self.step()
            done = [after - earlier for after, earlier in zip(totals(), before, strict=True)]
        if not all(each[0] > 0 for each in done):
            raise ServerError(f"No request has reached {ensemble}: does a candidate answer?")
        gateway, whole, features, classifier = (each / each[0] for each in done)
        end_to_end, application = np.mean(times, axis=0).tolist()
        callers = [ms for ms, _ in times]
        return Profile(
            rows,
            count,
            {f"p{q}": float(np.percentile(callers, q)) for q in (50, 95, 99)},
            end_to_end=end_to_end,
            application=application,
            predictor=float(gateway[1]),
            ensemble=float(whole[1]),
            queues=float(features[2] + classifier[2]),
            features=float(features[3]),
            classifier=float(classifier[3]),
        )

    def _request(self, connection: http.client.HTTPConnection, rows: int) -> tuple[float, float]:
        """The caller's ms for one request of the next `rows` pairs, and the gateway's own."""
        items = [
            {"bse_code": code, "prediction_date": day, "variant": self.variant}
            for code, day in (next(self.pairs) for _ in range(rows))
        ]
        path = "/api/v1/predict" if rows == 1 else "/api/v1/batch_predict"
        body = json.dumps(items[0] if rows == 1 else {"predictions": items}).encode()
        began = time.perf_counter()
        try:
            connection.request("POST", path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(f"The gateway does not answer {path}: {error!r}") from None
        took = time.perf_counter() - began
        if response.status != 200:
            raise ServerError(f"The gateway answers {response.status}: {content[:300]!r}")
        results = json.loads(content)
        for result in [results] if rows == 1 else results:
            if result["probability"] is None:
                raise ServerError(f"The gateway refuses a stock: {result['error']}")
        return took * 1e3, float(response.headers["x-process-time"]) * 1e3


def _gateway_totals(url: str) -> Totals:
    """The gateway's requests to Triton and its wait for them, by its own metrics."""
    count = seconds = 0.0
    for family in text_string_to_metric_families(_get(f"{url}/metrics").text):
        if family.name == PREDICTOR_SECONDS:
            count += sum(s.value for s in family.samples if s.name.endswith("_count"))
            seconds += sum(s.value for s in family.samples if s.name.endswith("_sum"))
    return np.array([count, seconds * 1e3, 0.0, 0.0])


def _triton_totals(address: str, model: str) -> Totals:
    """The totals of all versions of a model, by the statistics of the Triton at host:port."""
    totals = np.zeros(4)
    for version in _get(f"http://{address}/v2/models/{model}/stats").json()["model_stats"]:
        stats = version["inference_stats"]
        steps = (stats[f"compute_{step}"]["ns"] for step in ("input", "infer", "output"))
        nanoseconds = (stats["success"]["ns"], stats["queue"]["ns"], sum(steps))
        totals += [stats["success"]["count"], *(ns / 1e6 for ns in nanoseconds)]
    return totals


def _get(url: str) -> httpx.Response:
    try:
        return httpx.get(url, timeout=_TIMEOUT_S, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise ServerError(f"{url} does not answer: {error}") from None
