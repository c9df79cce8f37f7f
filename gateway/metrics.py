"""Every metric of the gateway, by name. Labels are bounded: no code, path or caller is one."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from gateway.ports import Variant

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

REQUESTS = "http_requests_total"
REQUEST_SECONDS = "http_request_duration_seconds"
REQUESTS_UNDER_WAY = "http_requests_in_flight"
PREDICTIONS = "predictions_total"
PREDICTOR_SECONDS = "predictor_request_duration_seconds"
PREDICTOR_ROWS = "predictor_request_rows"
PREDICTOR_UNDER_WAY = "predictor_requests_in_flight"
PREDICTOR_WAITING = "predictor_requests_waiting"
READY = "gateway_ready"
MODEL_VERSION = "model_version_info"
STOCKS = "directory_stocks"

_LATENCY_BUCKETS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_ROW_BUCKETS = (1, 2, 5, 10, 20, 50, 100)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            REQUESTS, "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self._request_seconds = Histogram(
            REQUEST_SECONDS,
            "Seconds from the first byte of a request to the last of its answer",
            ["method", "route"],
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._predictions = Counter(
            PREDICTIONS,
            "Stocks asked for, by what came of it",
            ["variant", "outcome"],
            registry=self.registry,
        )
        self._predictor_seconds = Histogram(
            PREDICTOR_SECONDS,
            "Seconds that one request to Triton took",
            ["variant", "outcome"],
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._predictor_rows = Histogram(
            PREDICTOR_ROWS,
            "Rows in one request to Triton",
            buckets=_ROW_BUCKETS,
            registry=self.registry,
        )
        self._model_version = Gauge(
            MODEL_VERSION,
            "1 for the version whose golden row came back right last",
            ["variant", "model_version"],
            registry=self.registry,
        )
        # labels() takes a lock and checks its arguments: a dictionary is quicker
        self._request_children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._prediction_children: dict[tuple[str, str], Counter] = {}
        self._versions: dict[str, int] = {}

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """A gauge that is read when somebody looks."""
        Gauge(name, meaning, registry=self.registry).set_function(value)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is its template."""
        key = (method if method in _METHODS else "OTHER", route, status)
        children = self._request_children.get(key)
        if children is None:
            children = (
                self._requests.labels(*key),
                self._request_seconds.labels(*key[:2]),
            )
            self._request_children[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def prediction(self, variant: Variant, outcome: str) -> None:
        """One stock was asked for."""
        key = (variant, outcome)
        child = self._prediction_children.get(key)
        if child is None:
            child = self._prediction_children[key] = self._predictions.labels(*key)
        child.inc()

    def predictor_call(self, variant: Variant, outcome: str, rows: int, seconds: float) -> None:
        """A request to Triton has ended."""
        self._predictor_seconds.labels(variant, outcome).observe(seconds)
        self._predictor_rows.observe(rows)

    def model_version(self, variant: Variant, number: int) -> None:
        """The version that a variant answers as."""
        before = self._versions.get(variant)
        if before != number:
            if before is not None:
                self._model_version.remove(variant, str(before))
            self._model_version.labels(variant, str(number)).set(1)
            self._versions[variant] = number

    def exposition(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)
