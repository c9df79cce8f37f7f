"""A profile: sends requests one at a time, and splits the time that each takes."""

import asyncio
import http.client
import json
import os
import platform
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from gateway.profiling.measurements import (
    Pair,
    gateway_totals,
    time_graph,
    time_lookups,
    triton_totals,
)
from gateway.profiling.split import Split
from gateway.stack.ports import LOOPBACK, free_ports
from gateway.stack.process import Child
from preprocess.errors import ServerError, StoreError
from preprocess.features.row import MINIMUM_ROWS
from preprocess.market.calendar import from_day_number
from preprocess.market.columns import MarketColumns
from preprocess.models.names import FEATURES, classifier_name, ensemble_name
from preprocess.repository.live import GRAPH_FILE
from preprocess.repository.stable import stable_version
from preprocess.serving.service import FeatureService
from preprocess.settings import Settings
from preprocess.store import open_store

SEED = 20260814
BATCH_ROWS = 100
_SINGLE_PER_BATCH = 5
_DAYS_BACK = 250
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class ShapeProfile:
    """`requests` requests of `rows` stocks each; percentiles of the caller's time, in ms."""

    rows: int
    requests: int
    percentiles: dict[str, float]
    split: Split

    def text(self) -> str:
        """For a terminal."""
        stocks = "One stock" if self.rows == 1 else f"{self.rows} stocks"
        quantiles = ", ".join(f"{name} {ms:.3f}" for name, ms in self.percentiles.items())
        head = f"{stocks} per request, {self.requests} requests, one at a time: "
        head += f"{self.split.end_to_end:.3f} ms on average ({quantiles})"
        return "\n".join((head, *self.split.lines())) + "\n"

    def document(self) -> dict[str, Any]:
        """For a JSON document."""
        return {
            "shape": "one" if self.rows == 1 else "batch",
            "rows_each": self.rows,
            "requests": self.requests,
            "percentiles_ms": self.percentiles,
            **self.split.document(),
        }


def machine() -> str:
    """The machine that a profile runs on."""
    return f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"


async def run_profile(
    settings: Settings, *, requests: int, variant: str, advance: Callable[[int, int], None]
) -> list[ShapeProfile]:
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

    async with _gateway(settings) as url:
        profiler = _Profiler(settings, variant, url, iter(pairs), step)
        return [
            await asyncio.to_thread(profiler.profile, rows, count) for rows, count in counts.items()
        ]


@asynccontextmanager
async def _gateway(settings: Settings) -> AsyncIterator[str]:
    """A gateway in front of the configured Triton, without a prediction cache; yields its URL.

    Raises:
        ServerError: it does not come up.
    """
    (port,) = free_ports(LOOPBACK, 1)
    own = settings.model_copy(
        update={"http_host": LOOPBACK, "http_port": port, "cache_predictions": False}
    )
    child = await Child.start(
        (sys.executable, "-m", "gateway"), {**os.environ, **own.environment()}, lambda _: None
    )
    try:
        deadline = time.monotonic() + _TIMEOUT_S
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
            while True:
                with suppress(httpx.TransportError):
                    if (await client.get(f"{own.http_url}/ready")).status_code == 200:
                        break
                if time.monotonic() > deadline:
                    lines = "".join(f"\n  {line}" for line in child.last_lines)
                    raise ServerError(f"The gateway is not ready after {_TIMEOUT_S:g} s.{lines}")
                await asyncio.sleep(0.1)
        yield own.http_url
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
    rows = [np.arange(first, end) for first, end in zip(firsts, starts[1:], strict=True)]
    stocks = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
    if not len(stocks):
        raise StoreError(
            f"No stock has more than {MINIMUM_ROWS} price rows: import prices, or run `tezi demo`."
        )
    order = np.resize(np.random.default_rng(SEED).permutation(len(stocks)), count)
    return [
        (code.decode(), from_day_number(day).isoformat())
        for code, day in zip(
            columns.codes[stocks[order]].tolist(),
            days[np.concatenate(rows)[order]].tolist(),
            strict=True,
        )
    ]


@dataclass(frozen=True, slots=True)
class _Profiler:
    """Sends requests one at a time, and reads all statistics before and after."""

    settings: Settings
    variant: str
    url: str
    pairs: Iterator[Pair]
    step: Callable[[], None]

    def profile(self, rows: int, count: int) -> ShapeProfile:
        """Split the time of `count` requests, after a tenth as many to warm up."""
        version = stable_version(self.settings.versions_dir).model_version
        ensemble = ensemble_name(self.variant, version)
        classifier = classifier_name(self.variant, version)
        models = (ensemble, FEATURES, classifier)
        address = self.settings.triton_http_address
        port = int(self.url.rpartition(":")[2])
        with closing(http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_S)) as connection:
            for _ in range(count // 10 + 1):
                self._request(connection, self._take(rows))
            requests = [self._take(rows) for _ in range(count)]
            waited = gateway_totals(self.url)
            before = [triton_totals(address, model) for model in models]
            times = []
            for pairs in requests:
                times.append(self._request(connection, pairs))
                self.step()
            after = [triton_totals(address, model) for model in models]
            wait = gateway_totals(self.url).mean_since(waited)
        whole, features, infer = (b.mean_since(a) for a, b in zip(before, after, strict=True))
        if not (wait.count and whole.count):
            raise ServerError(f"No request has reached {ensemble}: does a candidate answer?")
        with closing(FeatureService(lambda: open_store(self.settings))) as service:
            service.warm_up()
            lookup, values = time_lookups(service, requests)
        folder = self.settings.repository_dir / classifier / str(version)
        end_to_end, application = np.mean(times, axis=0).tolist()
        split = Split(
            end_to_end=end_to_end,
            application=application,
            predictor=wait.total,
            ensemble=whole.total,
            queues=features.queue + infer.queue,
            features=features.compute,
            classifier=infer.compute,
            lookup=lookup,
            graph=time_graph(folder / GRAPH_FILE, values),
        )
        callers = [ms for ms, _ in times]
        percentiles = {f"p{q}": float(np.percentile(callers, q)) for q in (50, 95, 99)}
        return ShapeProfile(rows, count, percentiles, split)

    def _take(self, rows: int) -> list[Pair]:
        return [next(self.pairs) for _ in range(rows)]

    def _request(
        self, connection: http.client.HTTPConnection, pairs: Sequence[Pair]
    ) -> tuple[float, float]:
        """The caller's ms for one request, and the gateway's own."""
        path = "/api/v1/predict" if len(pairs) == 1 else "/api/v1/batch_predict"
        items = [
            {"bse_code": code, "prediction_date": day, "variant": self.variant}
            for code, day in pairs
        ]
        body = json.dumps(items[0] if len(pairs) == 1 else {"predictions": items}).encode()
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
        for result in results if isinstance(results, list) else [results]:
            if result["probability"] is None:
                raise ServerError(f"The gateway refuses a stock: {result['error']}")
        return took * 1e3, float(response.headers["x-process-time"]) * 1e3
