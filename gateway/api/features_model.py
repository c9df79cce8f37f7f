"""Cache statistics of Triton's features model, from the server's metrics page."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from gateway.cache.features.counts import METRIC
from gateway.cache.statistics import CacheStats

_TIMEOUT_S = 1.0


class FeaturesModel:
    """The features cache, which lives in Triton's process."""

    def __init__(self, metrics_url: str) -> None:
        """`metrics_url` is the URL of Triton's metrics."""
        self._url = metrics_url

    async def cache_stats(self) -> CacheStats | None:
        """The counts since the model was loaded; None if Triton does not send them in a second."""
        try:
            # With `verify` a new client would read the machine's certificates: 22 ms.
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
    """The counts in a metrics page, summed over the model's instances.

    Raises:
        ValueError: the text is not a metrics page.
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
