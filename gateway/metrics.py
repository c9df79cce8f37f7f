"""Every metric of the gateway, by name. Labels are bounded: no code, path or caller is one."""

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
REQUESTS_UNDER_WAY = "http_requests_in_flight"
PREDICTIONS = "predictions_total"
PREDICTOR_SECONDS = "predictor_request_duration_seconds"
PREDICTOR_ROWS = "predictor_request_rows"
PREDICTOR_UNDER_WAY = "predictor_requests_in_flight"
PREDICTOR_WAITING = "predictor_requests_waiting"
READY = "gateway_ready"
ROUTED = "predictions_routed_total"
SHADOWED = "shadow_predictions_total"
SHADOW_DIFFERENCE = "shadow_probability_difference"
MODEL_VERSION = "model_version_info"
STOCKS = "directory_stocks"
CACHE_REQUESTS = "cache_requests_total"
CACHE_HIT_RATE = "cache_hit_rate_percent"

_LATENCY_BOUNDS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_DIFFERENCE_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_ROW_BOUNDS = (1, 2, 5, 10, 20, 50, 100)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = CounterSeries(REQUESTS, "Requests answered", ("method", "route", "status"))
        self._request_seconds = HistogramSeries(
            REQUEST_SECONDS,
            "Seconds from the first byte of a request to the last of its answer",
            ("method", "route"),
            _LATENCY_BOUNDS,
        )
        self._predictions = CounterSeries(
            PREDICTIONS, "Stocks asked for, by what came of it", ("variant", "outcome")
        )
        self._predictor_seconds = HistogramSeries(
            PREDICTOR_SECONDS,
            "Seconds that one request to Triton took",
            ("variant", "outcome"),
            _LATENCY_BOUNDS,
        )
        self._predictor_rows = HistogramSeries(
            PREDICTOR_ROWS, "Rows in one request to Triton", ("variant",), _ROW_BOUNDS
        )
        self._routed = CounterSeries(
            ROUTED,
            "Stocks predicted, by the label of the version that answered",
            ("variant", "label"),
        )
        self._shadowed = CounterSeries(
            SHADOWED,
            "What a shadow said beside the stable version: the same label, the other one, nothing",
            ("variant", "result"),
        )
        self._shadow_difference = HistogramSeries(
            SHADOW_DIFFERENCE,
            "How far a shadow's probability lies from the stable version's",
            ("variant",),
            _DIFFERENCE_BOUNDS,
        )
        self._cache_requests = CounterSeries(
            CACHE_REQUESTS,
            "Keys that a tier of the cache was asked for",
            ("cache", "tier", "result"),
        )
        self._hit_rate = Gauge(
            CACHE_HIT_RATE,
            "Share of the keys of the last minutes that either tier held",
            ["cache"],
            registry=self.registry,
        )
        for series in (
            self._cache_requests,
            self._routed,
            self._shadowed,
            self._shadow_difference,
            self._requests,
            self._request_seconds,
            self._predictions,
            self._predictor_seconds,
            self._predictor_rows,
        ):
            self.registry.register(series)
        self._model_version = Gauge(
            MODEL_VERSION,
            "1 for the version whose golden row came back right last",
            ["variant", "model_version"],
            registry=self.registry,
        )
        self._versions: dict[Variant, int] = {}

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """A gauge that is read when somebody looks."""
        Gauge(name, meaning, registry=self.registry).set_function(value)

    def watch_hit_rate(self, kind: Kind, rate: Callable[[], float]) -> None:
        """A gauge of the share, 0 to 1, that `rate` gives when somebody looks."""
        self._hit_rate.labels(kind).set_function(lambda: 100.0 * rate())

    def cache_request(self, kind: Kind, tier: Tier, result: Result, count: int) -> None:
        """A tier of the cache was asked for `count` keys. For the event loop."""
        self._cache_requests.add((kind, tier, result), count)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is its template."""
        method = method if method in _METHODS else "OTHER"
        self._requests.add((method, route, str(status)))
        self._request_seconds.observe((method, route), seconds)

    def prediction(self, variant: Variant, outcome: str) -> None:
        """One stock was asked for."""
        self._predictions.add((variant, outcome))

    def routed(self, variant: Variant, label: str) -> None:
        """A version answered for one stock."""
        self._routed.add((variant, label))

    def shadowed(self, variant: Variant, result: str, difference: float | None) -> None:
        """A shadow was compared with the stable version, or could not be."""
        self._shadowed.add((variant, result))
        if difference is not None:
            self._shadow_difference.observe((variant,), difference)

    def predictor_call(self, variant: Variant, outcome: str, rows: int, seconds: float) -> None:
        """A request to Triton has ended."""
        self._predictor_seconds.observe((variant, outcome), seconds)
        self._predictor_rows.observe((variant,), rows)

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
