"""Several gateways before one Triton and one Redis, each a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx

from gateway.features_model import counts
from preprocess.settings import PROJECT_ROOT, Settings
from tests.integration.stack import environment, free_ports, running

_READY_S = 60.0


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
def gateways(settings: Settings, count: int) -> Iterator[Gateways]:
    """Triton with its gateway, and further gateways until there are `count`."""
    with ExitStack() as stack:
        stack.enter_context(running(settings, covered=False))
        urls = [settings.http_url]
        for port in free_ports(count - 1):
            own = settings.model_copy(update={"http_port": port})
            stack.enter_context(_gateway(own))
            urls.append(own.http_url)
        yield Gateways(settings, tuple(urls))


@contextmanager
def _gateway(settings: Settings) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway"],
        cwd=PROJECT_ROOT,
        env=environment(settings, covered=False),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_ready(settings.http_url, process)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _READY_S
    with httpx.Client(timeout=5.0, trust_env=False) as client:
        while time.monotonic() < end:
            if process.poll() is not None:
                raise RuntimeError(f"a gateway ended with {process.returncode}")
            try:
                if client.get(f"{url}/ready").is_success:
                    return
            except httpx.TransportError:
                pass  # it does not listen yet
            time.sleep(0.1)
    raise RuntimeError(f"the gateway at {url} does not become ready")
