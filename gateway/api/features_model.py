"""What Triton's features model says of its cache: counts at the server's metrics address."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from gateway.cache.features.counts import METRIC
from gateway.cache.statistics import CacheStats

_TIMEOUT_S = 1.0


class FeaturesModel:
    """The cache of features, which lives in another process than the gateway."""

    def __init__(self, metrics_url: str) -> None:
        """`metrics_url` is the address of Triton's metrics."""
        self._url = metrics_url

    async def cache_stats(self) -> CacheStats | None:
        """Its counts since the model was loaded; None if Triton does not say within a second."""
        try:
            # Without `verify` a new client does not read the machine's certificates: 22 ms.
            async with httpx.AsyncClient(
                timeout=_TIMEOUT_S,
                trust_env=False,
                verify=False,  # noqa: S501 - plain http
            ) as client:
                response = await client.get(self._url)
            response.raise_for_status()
            return counts(response.text)
        except (httpx.HTTPError, ValueError):
            return None


def counts(text: str) -> CacheStats:
    """The counts in a page of metrics; of several instances, their sum.

    Raises:
        ValueError: the text is no page of metrics.
    """
    found = {("local", "hit"): 0, ("local", "miss"): 0, ("redis", "hit"): 0}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == METRIC and sample.labels.get("cache") == "features":
                name = sample.labels.get("tier", ""), sample.labels.get("result", "")
                if name in found:
                    found[name] += int(sample.value)
    remote = found["redis", "hit"]
    return CacheStats(found["local", "hit"], remote, found["local", "miss"] - remote)
