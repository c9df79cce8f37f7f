"""The stack that is loaded: nginx, two gateways, Redis as it is shipped, Triton."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from preprocess.errors import TeziError
from preprocess.settings import Settings
from tests.integration.stack import RunningStack, fresh_settings, running
from tests.performance.evening import scored_stack
from tests.performance.market import BenchMarket
from tests.redis import RedisServer, running_redis

GATEWAYS = 2
# As docker-compose.yml and config/kubernetes have it: a market of 11,000 stocks has room.
CACHE = {"cache_local_entries": 20_000, "cache_local_ttl_s": 300.0}


@dataclass(frozen=True)
class WholeStack:
    """All of it, up."""

    stack: RunningStack
    redis: RedisServer

    @property
    def settings(self) -> Settings:
        """Its settings."""
        return self.stack.settings

    @property
    def gateway_urls(self) -> list[str]:
        """Each gateway's own address."""
        return [f"http://127.0.0.1:{port}" for port in self.settings.gateway_ports]

    def roots(self) -> Mapping[str, int]:
        """Ids of the processes from which all others descend."""
        return {"supervisor": self.stack.process.pid, "redis": self.redis.pid}

    def restarts(self) -> list[str]:
        """What the supervisor logged when it restarted a server."""
        return [line for line in list(self.stack.lines) if "restarting it" in line]


def thresholds(url: str) -> Mapping[int, float]:
    """Threshold of each published model version."""
    found = httpx.get(f"{url}/api/v1/models", timeout=10.0, trust_env=False)
    return {one["model_version"]: one["threshold"] for one in found.json()["versions"]}


@contextmanager
def whole_stack(market: BenchMarket, home: Path, **overrides: object) -> Iterator[WholeStack]:
    """The stack in `home` on the market, with a model trained on a small demo market.

    Raises:
        TeziError: redis-server is not installed.
    """
    if shutil.which("redis-server") is None:
        raise TeziError("The load test needs redis-server: `apt-get install redis-server`.")
    scored_stack(market, home)
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder)) as redis:
        settings = fresh_settings(
            home,
            database_url=f"sqlite:///{market.database}",
            gateways=GATEWAYS,
            redis_url=redis.url,
            **CACHE,
            **overrides,
        )
        with running(settings, covered=False) as stack:
            yield WholeStack(stack, redis)
