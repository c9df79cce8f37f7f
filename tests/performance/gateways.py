"""Several gateways before one Triton and one Redis, each a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from gateway.features_model import counts
from preprocess.settings import PROJECT_ROOT, Settings
from tests.integration.stack import environment, free_ports, running

_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Gateways:
    """Addresses of the gateways, and of what counts."""

    settings: Settings
    urls: tuple[str, ...]
    up_pid: int

    def gateway_pid(self) -> int:
        """The process that `tezi up` runs the first gateway in."""
        children = Path(f"/proc/{self.up_pid}/task/{self.up_pid}/children").read_text("ascii")
        for pid in map(int, children.split()):
            if b"\0gateway\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        raise RuntimeError("tezi up has no gateway")

    def predictions(self) -> "Counts":
        """What the gateways were asked for, together."""
        found = Counts(0, 0, 0)
        for url in self.urls:
            stats = httpx.get(f"{url}/api/v1/cache/stats", timeout=5.0, trust_env=False).json()
            kind = stats["kinds"]["predictions"]["since_start"]
            found += Counts(kind["local_hits"], kind["redis_hits"], kind["misses"])
        return found

    def features(self) -> "Counts":
        """What the features model was asked for, as Triton's metrics have it."""
        page = httpx.get(self.settings.triton_metrics_url, timeout=5.0, trust_env=False)
        found = counts(page.text)
        return Counts(found.local_hits, found.remote_hits, found.misses)


@dataclass(frozen=True)
class Counts:
    """Keys that were asked for."""

    local_hits: int
    redis_hits: int
    misses: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.local_hits + other.local_hits,
            self.redis_hits + other.redis_hits,
            self.misses + other.misses,
        )

    def __sub__(self, other: "Counts") -> "Counts":
        return self + Counts(-other.local_hits, -other.redis_hits, -other.misses)

    @property
    def asked(self) -> int:
        """All of them."""
        return self.local_hits + self.redis_hits + self.misses

    @property
    def hit_rate(self) -> float:
        """Share that either tier had; 0 before the first."""
        return (self.local_hits + self.redis_hits) / self.asked if self.asked else 0.0

    def __str__(self) -> str:
        return (
            f"of {self.asked:,} keys {self.local_hits:,} in the process, {self.redis_hits:,} in "
            f"Redis, {self.misses:,} nowhere"
        )


@contextmanager
def gateways(settings: Settings, count: int) -> Iterator[Gateways]:
    """Triton with its gateway, and further gateways until there are `count`."""
    with ExitStack() as stack:
        up = stack.enter_context(running(settings, covered=False))
        urls = [settings.http_url]
        for port in free_ports(count - 1):
            own = settings.model_copy(update={"http_port": port})
            stack.enter_context(_gateway(own))
            urls.append(own.http_url)
        yield Gateways(settings, tuple(urls), up.process.pid)


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
    transport = httpx.HTTPTransport(retries=8)  # with growing pauses
    with httpx.Client(transport=transport, timeout=_PATIENCE_S, trust_env=False) as client:
        for _ in range(600):
            if process.poll() is not None:
                raise RuntimeError(f"a gateway ended with {process.returncode}")
            if client.get(f"{url}/ready").is_success:
                return
            time.sleep(0.1)
    raise RuntimeError(f"the gateway at {url} does not become ready")
