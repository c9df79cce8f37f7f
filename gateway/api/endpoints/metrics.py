"""GET /metrics and GET /api/v1/metrics."""

from starlette.requests import Request
from starlette.responses import Response

from gateway.api.responses import NOT_STORED
from gateway.metrics import CONTENT_TYPE, Metrics


class MetricsEndpoint:
    """The scrape target for Prometheus."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def metrics(self, _: Request) -> Response:
        """Every metric, as text."""
        headers = {**NOT_STORED, "content-type": CONTENT_TYPE}
        return Response(self._metrics.exposition(), headers=headers)
