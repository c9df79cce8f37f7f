"""Every metric of the gateway. Labels are bounded: never a stock code, a raw path or a caller."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from gateway.cache.keys import Kind
from gateway.cache.statistics import Result, Tier
from gateway.series import CounterSeries, HistogramSeries
from preprocess.models.names import Variant

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

REQUESTS = "http_requests_total"
REQUEST_SECONDS = "http_request_duration_seconds"
REQUESTS_IN_FLIGHT = "http_requests_in_flight"
PREDICTIONS = "predictions_total"
PREDICTOR_SECONDS = "predictor_request_duration_seconds"
PREDICTOR_ROWS = "predictor_request_rows"
PREDICTOR_IN_FLIGHT = "predictor_requests_in_flight"
PREDICTOR_WAITING = "predictor_requests_waiting"
READY = "gateway_ready"
ROUTED = "predictions_routed_total"
SHADOWED = "shadow_predictions_total"
SHADOW_DIFFERENCE = "shadow_probability_difference"
MODEL_VERSION = "model_version_info"
STOCKS = "directory_stocks"
CACHE_REQUESTS = "cache_requests_total"
ADMIN_CALLS = "admin_calls_total"
CACHE_HIT_RATE = "cache_hit_rate_percent"

_LATENCY_BOUNDS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_DIFFERENCE_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_ROW_BOUNDS = (1, 2, 5, 10, 20, 50, 100)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The metrics of one application, in its own registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._requests = CounterSeries(
            registry, REQUESTS, "Requests answered", ("method", "route", "status")
        )
        self._request_seconds = HistogramSeries(
            registry,
            REQUEST_SECONDS,
            "Seconds from the first byte of a request to the last byte of its response",
            ("method", "route"),
            _LATENCY_BOUNDS,
        )
        self._predictions = CounterSeries(
            registry, PREDICTIONS, "Stocks requested, by outcome", ("variant", "outcome")
        )
        self._predictor_seconds = HistogramSeries(
            registry,
            PREDICTOR_SECONDS,
            "Seconds that one request to Triton took",
            ("variant", "outcome"),
            _LATENCY_BOUNDS,
        )
        self._predictor_rows = HistogramSeries(
            registry, PREDICTOR_ROWS, "Rows in one request to Triton", ("variant",), _ROW_BOUNDS
        )
        self._routed = CounterSeries(
            registry,
            ROUTED,
            "Stocks predicted, by the label of the version that answered",
            ("variant", "label"),
        )
        self._shadowed = CounterSeries(
            registry,
            SHADOWED,
            "Shadow predictions, by how they compare with the stable version",
            ("variant", "result"),
        )
        self._shadow_difference = HistogramSeries(
            registry,
            SHADOW_DIFFERENCE,
            "Absolute difference between the shadow's and the stable version's probability",
            ("variant",),
            _DIFFERENCE_BOUNDS,
        )
        self._cache_requests = CounterSeries(
            registry,
            CACHE_REQUESTS,
            "Keys looked up in a tier of the cache",
            ("cache", "tier", "result"),
        )
        self._admin_calls = CounterSeries(
            registry, ADMIN_CALLS, "Admin calls, by whether their token was accepted", ("outcome",)
        )
        self._hit_rate = Gauge(
            CACHE_HIT_RATE,
            "Percentage of the keys of the last minutes that were found in either tier",
            ["cache"],
            registry=registry,
        )
        self._model_version = Gauge(
            MODEL_VERSION,
            "1 for the version whose golden row last came back right",
            ["variant", "model_version"],
            registry=registry,
        )
        self._versions: dict[Variant, int] = {}

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is read at each scrape."""
        Gauge(name, meaning, registry=self.registry).set_function(value)

    def watch_hit_rate(self, kind: Kind, rate: Callable[[], float]) -> None:
        """Add the hit rate of `kind`; `rate` returns it as a share, 0 to 1, at each scrape."""
        self._hit_rate.labels(kind).set_function(lambda: 100.0 * rate())

    def cache_request(self, kind: Kind, tier: Tier, result: Result, count: int) -> None:
        """Count `count` keys looked up in a tier. Call it only on the event loop."""
        self._cache_requests.add((kind, tier, result), count)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request; `route` is the path template."""
        method = method if method in _METHODS else "OTHER"
        self._requests.add((method, route, str(status)))
        self._request_seconds.observe((method, route), seconds)

    def admin_call(self, outcome: str) -> None:
        """Count an admin call."""
        self._admin_calls.add((outcome,))

    def prediction(self, variant: Variant, outcome: str) -> None:
        """Count the outcome for one requested stock."""
        self._predictions.add((variant, outcome))

    def routed(self, variant: Variant, label: str) -> None:
        """Count one stock by the label of the version that answered."""
        self._routed.add((variant, label))

    def shadowed(self, variant: Variant, result: str, difference: float | None) -> None:
        """Count a shadow prediction; `difference` is None if it could not be compared."""
        self._shadowed.add((variant, result))
        if difference is not None:
            self._shadow_difference.observe((variant,), difference)

    def predictor_call(self, variant: Variant, outcome: str, rows: int, seconds: float) -> None:
        """Count a finished request to Triton."""
        self._predictor_seconds.observe((variant, outcome), seconds)
        self._predictor_rows.observe((variant,), rows)

    def model_version(self, variant: Variant, number: int) -> None:
        """Set the version that a variant now serves."""
        before = self._versions.get(variant)
        if before != number:
            if before is not None:
                self._model_version.remove(variant, str(before))
            self._model_version.labels(variant, str(number)).set(1)
            self._versions[variant] = number

    def exposition(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self.registry)
