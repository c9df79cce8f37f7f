"""One application on the fake predictor, for tests of what HTTP callers see."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.gateway.fakes import Running, running_app


@pytest.fixture
async def tezi(tmp_path: Path) -> AsyncIterator[Running]:
    """A running application: version 1 is published, four stocks are known."""
    async with running_app(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy for seconds is no reason to distrust Triton or the database."""
    monkeypatch.setattr("gateway.catalog.probe.TIMEOUT_S", 60.0)
    monkeypatch.setattr("gateway.cache.market_changes.PATIENCE_S", 60.0)
    monkeypatch.setattr("gateway.api.administrator.REFUSAL_S", 0.0)
    monkeypatch.setattr("gateway.triton.http.pool._CONNECT_S", 60.0)


@pytest.fixture
def skip(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Puts the clock of the event loop forward: its timers fire, and nobody waited."""
    ahead = 0.0

    def forward(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda _: time.monotonic() + ahead)
    return forward


@pytest.fixture
def hardly_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Triton that refuses is given up after 60 ms, not after a quarter of a long deadline."""
    monkeypatch.setattr("gateway.triton.failover.SHARE_OF_TIME", 0.001)
