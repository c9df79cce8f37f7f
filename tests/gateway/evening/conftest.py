"""A small market, a published tiny model, and a fake Triton that serves it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.evening import scoring
from preprocess.market.values import Stock
from preprocess.settings import Settings
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import bars
from tests.gateway.evening.fakes import FakeTriton, published, serving

CODES = [f"500{number:03d}" for number in range(100, 1000, 75)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return published(tmp_path / "data")


@pytest.fixture
def market(settings: Settings) -> Iterator[SQLiteStore]:
    """Twelve active stocks with prices to 31 May 2024, one without, one that is suspended."""
    store = SQLiteStore(settings.database_path, write=True)
    with store.transaction() as writer:
        for code in CODES:
            writer.put_prices(bars(code, [10.0] * 110))
        writer.put_stocks([Stock(CODES[0], "FIRST"), Stock("599998"), Stock("599999")])
        writer.put_prices(bars("599999", [10.0] * 110))
        writer.put_stocks([Stock("599999", status="suspended")])
    yield store
    store.close()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of two stocks, three at a time, tried again without a wait."""
    monkeypatch.setattr(scoring, "BATCH_ROWS", 2)
    monkeypatch.setattr(scoring, "FIRST_PAUSE_S", 0.01)


@pytest.fixture
def triton(settings: Settings) -> Iterator[FakeTriton]:
    fake = FakeTriton(settings.versions_dir)
    with serving(fake, settings.triton_grpc_address):
        yield fake
