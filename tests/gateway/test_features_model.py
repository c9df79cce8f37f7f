"""The counts of Triton's features model, as the gateway shows them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.api.endpoints.cache import FeaturesModel, counts
from gateway.cache.statistics import CacheStats
from tests.gateway.fakes import running_app
from tests.integration.stack import free_ports

# Two instances of the model, a series of another server's, and one of Triton's own.
PAGE = """\
# HELP nv_inference_count Number of inferences performed
# TYPE nv_inference_count counter
nv_inference_count{model="features",version="1"} 12
# HELP cache_requests_total Keys that a tier of the cache was asked for
# TYPE cache_requests_total counter
cache_requests_total{cache="features",tier="local",result="hit"} 30
cache_requests_total{cache="features",tier="local",result="miss"} 20
cache_requests_total{cache="features",tier="redis",result="hit"} 5
cache_requests_total{cache="features",tier="redis",result="miss"} 15
cache_requests_total{cache="features",tier="local",result="hit",instance="2"} 10
cache_requests_total{cache="queries",tier="local",result="hit"} 1000
"""


def test_a_page_of_metrics_becomes_counts() -> None:
    assert counts(PAGE) == CacheStats(local_hits=40, remote_hits=5, misses=15)
    assert counts("") == CacheStats()
    with pytest.raises(ValueError, match="could not convert"):
        counts("nonsense{")


InferenceResult = Callable[[asyncio.StreamWriter], None]


@asynccontextmanager
async def metrics_server(port: int, answer: InferenceResult) -> AsyncIterator[None]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        answer(writer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", port):
        yield


def page(status: str, text: str) -> InferenceResult:
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n"
    return lambda writer: writer.write((head + text).encode())


async def stats(folder: Path, port: int, *, cache_features: bool = True) -> object:
    options = {"cache_features": cache_features, "triton_metrics_port": port}
    async with running_app(folder, **options) as tezi:
        response = await tezi.client.get("/api/v1/cache/stats")
        assert response.status_code == 200
        return response.json()["features_model"]


async def test_the_statistics_have_them(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with metrics_server(port, page("200 OK", PAGE)):
        assert await stats(tmp_path / "on", port) == {
            "asked": 60,
            "local_hits": 40,
            "redis_hits": 5,
            "misses": 15,
            "hit_rate": 0.75,
        }
        assert await stats(tmp_path / "off", port, cache_features=False) is None


@pytest.mark.parametrize("answer", [page("503 Busy", PAGE), page("200 OK", "nonsense{")])
async def test_a_triton_that_does_not_say_costs_nothing_else(
    tmp_path: Path, answer: InferenceResult
) -> None:
    (port,) = free_ports(1)
    async with metrics_server(port, answer):
        assert await stats(tmp_path, port) is None
    assert await FeaturesModel(f"http://127.0.0.1:{port}/metrics").cache_stats() is None
