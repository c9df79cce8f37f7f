"""The figures of a profile: the gateway's metrics, Triton's statistics, work timed in process."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import PREDICTOR_SECONDS
from preprocess.errors import FeatureError, ServerError
from preprocess.features.row import Status
from preprocess.models.session import open_session
from preprocess.serving.service import FeatureService
from preprocess.serving.wire import Float32s

Pair = tuple[str, str]
"""A BSE code and an ISO date."""

_TIMEOUT_S = 10.0
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals since a server started: number of requests, and ms in all, in queues, computing."""

    count: float = 0.0
    total: float = 0.0
    queue: float = 0.0
    compute: float = 0.0

    def mean_since(self, before: "Totals") -> "Totals":
        """Means per request of what was done after `before`; zeros if nothing was."""
        count = self.count - before.count
        if count <= 0:
            return Totals()
        return Totals(
            count,
            (self.total - before.total) / count,
            (self.queue - before.queue) / count,
            (self.compute - before.compute) / count,
        )


def gateway_totals(url: str) -> Totals:
    """How often and how long the gateway at `url` has waited for Triton, by its own metrics.

    Raises:
        ServerError: it does not answer.
    """
    count = seconds = 0.0
    for family in text_string_to_metric_families(_get(f"{url}/metrics").text):
        if family.name == PREDICTOR_SECONDS:
            count += sum(s.value for s in family.samples if s.name.endswith("_count"))
            seconds += sum(s.value for s in family.samples if s.name.endswith("_sum"))
    return Totals(count, seconds * 1e3)


def triton_totals(address: str, model: str) -> Totals:
    """The totals of all versions of a model, by Triton's statistics.

    Raises:
        ServerError: the Triton at `address` (host:port of HTTP) does not answer, or has no such
            model.
    """
    totals = Totals()
    for version in _get(f"http://{address}/v2/models/{model}/stats").json()["model_stats"]:
        stats = version["inference_stats"]
        steps = ("compute_input", "compute_infer", "compute_output")
        totals = Totals(
            totals.count + stats["success"]["count"],
            totals.total + stats["success"]["ns"] / _NS_PER_MS,
            totals.queue + stats["queue"]["ns"] / _NS_PER_MS,
            totals.compute + sum(stats[step]["ns"] for step in steps) / _NS_PER_MS,
        )
    return totals


def time_lookups(
    service: FeatureService, requests: Sequence[Sequence[Pair]]
) -> tuple[float, list[Float32s]]:
    """Mean ms to look up one request's rows as Triton's features model does, and the features.

    Features are float32 [rows, 25] for each request.

    Raises:
        FeatureError: a row has no features.
    """
    features, seconds = [], 0.0
    for pairs in requests:
        codes = [code.encode() for code, _ in pairs]
        days = [day.encode() for _, day in pairs]
        began = time.perf_counter()
        rows = service.rows(codes, days)
        seconds += time.perf_counter() - began
        if not all(status == Status.OK.encode() for status in rows.status):
            raise FeatureError(f"A row of {codes[0]!r} and others has no features: {rows.status}")
        features.append(np.ascontiguousarray(rows.values))
    return seconds / len(requests) * 1e3, features


def time_graph(graph: Path, requests: Sequence[Float32s]) -> float:
    """Mean ms to run a classifier's graph on each request's features, on one thread.

    Raises:
        ModelError: the graph cannot be loaded.
    """
    session = open_session(graph)
    session.run(None, {"features": requests[0]})
    began = time.perf_counter()
    for features in requests:
        session.run(None, {"features": features})
    return (time.perf_counter() - began) / len(requests) * 1e3


def _get(url: str) -> httpx.Response:
    try:
        return httpx.get(url, timeout=_TIMEOUT_S, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise ServerError(f"{url} does not answer: {error}") from None
