"""A profile from its first request to its last figure."""

import asyncio
import http.client
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gateway.profiling.clocks import (
    Pair,
    gateway_waits,
    time_graph,
    time_lookups,
    triton_work,
)
from gateway.profiling.gateway import flame_graph, flame_graph_command, own_gateway
from gateway.profiling.split import Clocks, Split
from gateway.stack.ports import LOOPBACK
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

Advance = Callable[[int, int], None]

SEED = 20260814
BATCH_ROWS = 100
_BATCHES_SHARE = 5
_DAYS_BACK = 250
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class ShapeProfile:
    """`requests` requests of `rows` stocks each; percentiles of what the caller waited, in ms."""

    rows: int
    requests: int
    percentiles: dict[str, float]
    split: Split

    @property
    def name(self) -> str:
        """For file names."""
        return "one" if self.rows == 1 else "batch"

    def text(self) -> str:
        """For a terminal."""
        stocks = "One stock" if self.rows == 1 else f"{self.rows} stocks"
        quantiles = ", ".join(f"{name} {ms:.3f}" for name, ms in self.percentiles.items())
        head = f"{stocks} a request, {self.requests} requests, one at a time: "
        head += f"{self.split.end_to_end:.3f} ms on average ({quantiles})"
        return "\n".join((head, *self.split.lines())) + "\n"

    def document(self) -> dict[str, Any]:
        """For a JSON document."""
        return {
            "shape": self.name,
            "rows_each": self.rows,
            "requests": self.requests,
            "percentiles_ms": self.percentiles,
            **self.split.document(),
        }


def machine() -> str:
    """What a profile runs on."""
    return f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}"


async def run_profile(
    settings: Settings, *, requests: int, variant: str, flames: Path, advance: Advance
) -> list[ShapeProfile]:
    """Profile single requests, then batches of 100, through the running Triton.

    `requests` single ones and a fifth of that in batches are timed. With py-spy, as many again
    are sampled, and `flames`-one.svg and `flames`-batch.svg show where the gateway spends its
    time. `advance(done, total)` is told of progress.

    Raises:
        ServerError: the gateway or Triton does not answer.
        StoreError: the market has no stock to ask about.
    """
    with closing(open_store(settings)) as store:
        columns = store.columns()
    plan = {1: requests, BATCH_ROWS: max(requests // _BATCHES_SHARE, 10)}
    pairs = fresh_pairs(columns, sum(3 * rows * count for rows, count in plan.items()))
    total, done = sum(plan.values()) * (2 if flame_graph_command() else 1), 0

    def step() -> None:
        nonlocal done
        done += 1
        advance(done, total)

    async with own_gateway(settings) as (url, pid):
        profiler = _Profiler(settings, variant, url, iter(pairs), step)
        shapes = []
        for rows, count in plan.items():
            shapes.append(await asyncio.to_thread(profiler.profile, rows, count))
            target = flames.with_name(f"{flames.name}-{shapes[-1].name}.svg")
            with flame_graph(pid, target) as sampling:
                if sampling:
                    await asyncio.to_thread(profiler.send, rows, count)
    return shapes


def fresh_pairs(columns: MarketColumns, count: int) -> list[Pair]:
    """Pairs of a stock and one of its last 250 trading days, so that no cache helps.

    In a random order; they come again only after all were given.

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
    """Sends requests one at a time, and reads every clock before and after."""

    settings: Settings
    variant: str
    url: str
    pairs: Iterator[Pair]
    step: Callable[[], None]

    def profile(self, rows: int, count: int) -> ShapeProfile:
        """Split the time of `count` requests, after a tenth of it to warm up."""
        version = stable_version(self.settings.versions_dir).model_version
        ensemble = ensemble_name(self.variant, version)
        classifier = classifier_name(self.variant, version)
        models = (ensemble, FEATURES, classifier)
        address = self.settings.triton_http_address
        with closing(http.client.HTTPConnection(LOOPBACK, int(self.url.rpartition(":")[2]))) as own:
            own.timeout = _TIMEOUT_S
            for _ in range(count // 10 + 1):
                self._ask(own, self._take(rows))
            requests = [self._take(rows) for _ in range(count)]
            waited = gateway_waits(self.url)
            before = [triton_work(address, model) for model in models]
            times = np.array([self._ask(own, pairs) for pairs in requests])
            after = [triton_work(address, model) for model in models]
            wait = gateway_waits(self.url).each_since(waited)
        whole, features, infer = (b.each_since(a) for a, b in zip(before, after, strict=True))
        if not (wait.count and whole.count):
            raise ServerError(f"No request has reached {ensemble}: is another version canary?")
        service = FeatureService(lambda: open_store(self.settings))
        with closing(service):
            service.warm_up()
            lookup, values = time_lookups(service, requests)
        folder = self.settings.repository_dir / classifier / str(version)
        clocks = Clocks(
            end_to_end=float(times[:, 0].mean()),
            application=float(times[:, 1].mean()),
            predictor=wait.total,
            ensemble=whole.total,
            queues=features.queue + infer.queue,
            features=features.compute,
            classifier=infer.compute,
            lookup=lookup,
            graph=time_graph(folder / GRAPH_FILE, values),
        )
        percentiles = {f"p{q}": float(np.percentile(times[:, 0], q)) for q in (50, 95, 99)}
        return ShapeProfile(rows, count, percentiles, Split.of(clocks))

    def send(self, rows: int, count: int) -> None:
        """The same requests again, for others to watch."""
        with closing(http.client.HTTPConnection(LOOPBACK, int(self.url.rpartition(":")[2]))) as own:
            own.timeout = _TIMEOUT_S
            for _ in range(count):
                self._ask(own, self._take(rows))

    def _take(self, rows: int) -> list[Pair]:
        return [next(self.pairs) for _ in range(rows)]

    def _ask(
        self, connection: http.client.HTTPConnection, pairs: Sequence[Pair]
    ) -> tuple[float, float]:
        """The caller's ms and the gateway's own of one request."""
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
        answers = json.loads(content)
        for answer in answers if isinstance(answers, list) else [answers]:
            if answer["probability"] is None:
                raise ServerError(f"The gateway refuses a stock: {answer['error']}")
        self.step()
        return took * 1e3, float(response.headers["x-process-time"]) * 1e3
