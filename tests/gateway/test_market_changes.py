"""The gateway hears of commits, and knows when it does not."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest

from gateway.cache import market_changes
from gateway.cache.cache_manager import CacheManager
from gateway.cache.keys import prediction_key
from gateway.cache.market_changes import MarketChanges
from gateway.cache.plan import Plan
from preprocess.errors import StoreError
from preprocess.market.values import Bar
from preprocess.store import Store
from preprocess.store.sqlite.store import SQLiteStore
from tests.gateway.fakes import until

DAY = date(2026, 8, 14)
KEYS = [prediction_key(code, DAY.isoformat(), 1, "fp32") for code in ("500001", "500002")]


@dataclass
class Database:
    """Opens a real store, unless it is away."""

    path: Path
    away: bool = False
    opened: list[SQLiteStore] = field(default_factory=list)

    def open(self) -> Store:
        if self.away:
            raise StoreError("away")
        self.opened.append(SQLiteStore(self.path))
        return self.opened[-1]

    def commit(self, code: str) -> None:
        store = SQLiteStore(self.path, write=True)
        with store.transaction() as writer:
            writer.put_prices([Bar(code, DAY, 1, 1, 1, len(self.opened) + 1.0, 5)])
        store.close()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "market.db")
    made.commit("500001")
    return made


@pytest.fixture
def cache() -> Iterator[CacheManager]:
    made = CacheManager(Plan())
    yield made
    made.close()


async def test_a_stock_that_changes_is_forgotten(database: Database, cache: CacheManager) -> None:
    changes = MarketChanges(database.open, cache.core)
    assert not changes.is_current
    changes.poll()
    assert changes.is_current
    cache.set_many(dict.fromkeys(KEYS, 1), 100)
    database.commit("500002")
    changes.poll()
    assert set(cache.get_many(KEYS).values) == {KEYS[0]}
    await changes.close()


async def test_a_database_that_is_away_is_opened_again(
    database: Database, cache: CacheManager, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    changes = MarketChanges(database.open, cache.core, monotonic=lambda: now)
    changes.poll()
    cache.set_many(dict.fromkeys(KEYS, 1), 100)
    database.opened[-1].close()  # as when its connection is lost
    database.away = True
    for _ in range(2):
        changes.poll()
    assert changes.is_current
    now += market_changes.PATIENCE_S
    assert not changes.is_current
    database.commit("500001")
    database.away = False
    changes.poll()
    assert changes.is_current
    assert set(cache.get_many(KEYS).values) == {KEYS[1]}
    await changes.close()
    shown = capsys.readouterr().out
    assert shown.count("market changes cannot be read") == 1
    assert shown.count("market changes can be read again") == 1


async def test_a_bug_while_following_ends_neither_the_thread_nor_the_caution(
    database: Database,
    cache: CacheManager,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("gateway.cache.market_changes.POLL_S", 0.01)
    monkeypatch.setattr("gateway.cache.market_changes.PATIENCE_S", 0.05)
    changes = MarketChanges(database.open, cache.core)
    await changes.start()
    monkeypatch.setattr(cache.core, "follow", lambda *_, **__: 1 / 0)
    database.commit("500001")
    await until(lambda: not changes.is_current)
    monkeypatch.undo()
    await until(lambda: changes.is_current)
    await changes.close()
    assert "market changes cannot be followed" in capsys.readouterr().out
