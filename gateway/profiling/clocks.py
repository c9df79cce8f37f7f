"""Reading the clocks of those who work on a request: the gateway, Triton, and this process."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import onnxruntime
from prometheus_client.parser import text_string_to_metric_families

from preprocess.errors import FeatureError, ModelError, ServerError
from preprocess.features.row import Status
from preprocess.serving.service import FeatureService
from preprocess.serving.wire import Float32s

Pair = tuple[str, str]
"""A BSE code and an ISO date."""

PREDICTOR_SECONDS = "predictor_request_duration_seconds"
"""The gateway's histogram of requests to Triton."""

_TIMEOUT_S = 10.0
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Work:
    """What was done so far: how often, ms in all, ms in a queue, ms at work."""

    count: float = 0.0
    total: float = 0.0
    queue: float = 0.0
    compute: float = 0.0

    def each_since(self, before: "Work") -> "Work":
        """The means of what was done after `before`; nothing if nothing was."""
        count = self.count - before.count
        if count <= 0:
            return Work()
        return Work(
            count,
            (self.total - before.total) / count,
            (self.queue - before.queue) / count,
            (self.compute - before.compute) / count,
        )


def gateway_waits(url: str) -> Work:
    """How often and how long a gateway has waited for Triton, by its own metrics.

    Raises:
        ServerError: it does not answer.
    """
    count = seconds = 0.0
    for family in text_string_to_metric_families(_get(f"{url}/metrics").text):
        if family.name == PREDICTOR_SECONDS:
            count += sum(s.value for s in family.samples if s.name.endswith("_count"))
            seconds += sum(s.value for s in family.samples if s.name.endswith("_sum"))
    return Work(count, seconds * 1e3)


def triton_work(address: str, model: str) -> Work:
    """What all versions of a model have done since they were loaded, by Triton's statistics.

    Raises:
        ServerError: the Triton at `address` (host:port of HTTP) does not answer, or has no such
            model.
    """
    work = Work()
    for version in _get(f"http://{address}/v2/models/{model}/stats").json()["model_stats"]:
        stats = version["inference_stats"]
        steps = ("compute_input", "compute_infer", "compute_output")
        work = Work(
            work.count + stats["success"]["count"],
            work.total + stats["success"]["ns"] / _NS_PER_MS,
            work.queue + stats["queue"]["ns"] / _NS_PER_MS,
            work.compute + sum(stats[step]["ns"] for step in steps) / _NS_PER_MS,
        )
    return work


def time_lookups(
    service: FeatureService, requests: Sequence[Sequence[Pair]]
) -> tuple[float, list[Float32s]]:
    """Mean ms of looking up a request's rows as Triton's features model does, and the features.

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
    """Mean ms of running a classifier's graph on each request's features, with one thread.

    Raises:
        ModelError: the graph cannot be loaded.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise ModelError(f"{graph} cannot be loaded: {error}") from error
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
