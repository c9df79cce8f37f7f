"""Triton's Python model `features`: a thin adapter to preprocess.serving.service."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from preprocess.serving.service import FeatureService
from preprocess.settings import Settings, load_settings
from preprocess.store import open_store

if TYPE_CHECKING:
    from gateway.cache.features.cached_rows import CachedRows
    from gateway.cache.features.counts import PublishedCounts


class TritonPythonModel:
    """One instance, a process of its own, with its own connection to the database."""

    def initialize(self, args: dict[str, str]) -> None:
        """Check the configured shape and load the market into memory before the first request."""
        config = json.loads(args["model_config"])
        settings = load_settings()
        cached: CachedRows | None = None
        self._counts: PublishedCounts | None = None
        if settings.cache_features:
            cached, self._counts = _cache(settings)
        self._service = FeatureService(lambda: open_store(settings), cached=cached)
        self._service.require_width(
            next(output["dims"][0] for output in config["output"] if output["name"] == "features")
        )
        self._service.warm_up()

    def execute(
        self, requests: list["pb_utils.InferenceRequest"]
    ) -> list["pb_utils.InferenceResponse"]:
        """Compute the rows of all requests together, and return to each request its own."""
        codes = [_column(request, "bse_code") for request in requests]
        days = [_column(request, "prediction_date") for request in requests]
        batch = self._service.rows(np.concatenate(codes).tolist(), np.concatenate(days).tolist())
        if self._counts is not None:
            self._counts.publish()
        responses, start = [], 0
        for column in codes:
            rows = slice(start, start + len(column))
            start = rows.stop
            responses.append(
                pb_utils.InferenceResponse(
                    [
                        pb_utils.Tensor("features", batch.values[rows]),
                        pb_utils.Tensor("as_of", batch.as_of[rows, np.newaxis]),
                        pb_utils.Tensor("status", batch.status[rows, np.newaxis]),
                    ]
                )
            )
        return responses

    def finalize(self) -> None:
        """Close the database and the cache."""
        self._service.close()


def _column(request: "pb_utils.InferenceRequest", name: str) -> NDArray[Any]:
    column: NDArray[Any] = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
    return column.reshape(-1)


def _cache(settings: Settings) -> tuple["CachedRows", "PublishedCounts"]:
    """The cache of rows, and its counters among Triton's own metrics."""
    from gateway.cache.features.tls import load_redis  # noqa: PLC0415 - most servers cache no features

    load_redis()

    from gateway.cache.cache_manager import CacheManager  # noqa: PLC0415
    from gateway.cache.features.cached_rows import CachedRows  # noqa: PLC0415
    from gateway.cache.features.counts import MEANING, METRIC, RATE_METRIC, PublishedCounts  # noqa: PLC0415

    cache = CacheManager.from_settings(settings)
    family = pb_utils.MetricFamily(
        name=METRIC, description=MEANING, kind=pb_utils.MetricFamily.COUNTER
    )
    rates = pb_utils.MetricFamily(
        name=RATE_METRIC,
        description="Keys of the last five minutes that the cache held",
        kind=pb_utils.MetricFamily.GAUGE,
    )
    counts = PublishedCounts(
        cache.core.statistics,
        lambda labels: family.Metric(labels=dict(labels)),
        lambda: rates.Metric(labels={"cache": "features"}),
    )
    return CachedRows(cache, ttl_s=settings.cache_features_ttl_s), counts
