"""Several gateways before one Triton and one Redis, each a process of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from gateway.api.features_model import counts
from preprocess.settings import Settings
from tests.integration.stack import running


@dataclass(frozen=True)
class Counts:
    """Keys that were looked up: found in the process, found in Redis, and not found."""

    local_hits: int
    redis_hits: int
    misses: int

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(
            self.local_hits - other.local_hits,
            self.redis_hits - other.redis_hits,
            self.misses - other.misses,
        )

    @property
    def hit_rate(self) -> float:
        """Share that either tier had; 0 before the first."""
        hits = self.local_hits + self.redis_hits
        return hits / (hits + self.misses) if hits + self.misses else 0.0

    def __str__(self) -> str:
        hits = f"{self.local_hits:,} in the process, {self.redis_hits:,} in Redis"
        return f"{hits}, {self.misses:,} missed"


@dataclass(frozen=True)
class Gateways:
    """Addresses of the gateways, and what their caches counted."""

    settings: Settings
    urls: tuple[str, ...]

    def predictions(self) -> Counts:
        """Predictions that the gateways looked up, together."""
        local = redis = misses = 0
        for url in self.urls:
            stats = httpx.get(f"{url}/api/v1/cache/stats", timeout=5.0, trust_env=False).json()
            kind = stats["kinds"]["predictions"]["since_start"]
            local += kind["local_hits"]
            redis += kind["redis_hits"]
            misses += kind["misses"]
        return Counts(local, redis, misses)

    def features(self) -> Counts:
        """Rows that the features model looked up, as Triton's metrics have it."""
        page = httpx.get(self.settings.triton_metrics_url, timeout=5.0, trust_env=False)
        found = counts(page.text)
        return Counts(found.local_hits, found.remote_hits, found.misses)


@contextmanager
def gateways(settings: Settings) -> Iterator[Gateways]:
    """A stack with the gateways of its settings, each of which is asked at its own port."""
    with running(settings, covered=False):
        ports = settings.gateway_ports if settings.gateways > 1 else [settings.http_port]
        yield Gateways(settings, tuple(f"http://127.0.0.1:{port}" for port in ports))
