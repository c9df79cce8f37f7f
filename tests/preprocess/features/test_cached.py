"""Cached feature rows equal those of the current market, whatever the cache contains."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cache.cache_manager import CacheManager
from gateway.cache.core import AnyCodec
from gateway.cache.features.cached_rows import CachedRows
from gateway.cache.keys import features_key
from gateway.cache.plan import Plan
from preprocess.errors import StoreError
from preprocess.features.manifest import feature_hash
from preprocess.serving import live as live_module
from preprocess.serving.service import FeatureService
from preprocess.serving.wire import WireRows
from preprocess.settings import Settings
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import bars, weekdays
from tests.redis import RedisServer, running_redis

CODES = ("500001", "500002", "500003")
DAYS = weekdays(60)
# Not the newest day, whose rows are computed in advance.
PAST = DAYS[-3]


class Late(SQLiteStore):
    """A store whose readers see commits late, as those of PostgreSQL may."""

    poll_interval_s = 3600.0


class Replica:
    """A features model: its service, its cache, and how often it computed."""

    def __init__(self, path: Path, plan: Plan, store: type[SQLiteStore] = SQLiteStore) -> None:
        self.cache = CacheManager(plan)
        self.cached = CachedRows(self.cache, ttl_s=300)
        self.service = FeatureService(lambda: store(path), cached=self.cached)

    def ask(self, *codes: str, day: date = PAST) -> WireRows:
        days = [day.isoformat().encode()] * len(codes)
        return self.service.rows([code.encode() for code in codes], days)

    @property
    def counts(self) -> tuple[int, int, int]:
        stats = self.cache.core.statistics.of("features")
        return stats.local_hits, stats.remote_hits, stats.misses


def write(store: SQLiteStore, code: str, close: float) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars(code, [close + row % 7 for row in range(60)]))


def assert_same(found: WireRows, expected: WireRows) -> None:
    """Bit by bit."""
    assert found.values.tobytes() == expected.values.tobytes()
    assert found.as_of.tolist() == expected.as_of.tolist()
    assert found.status.tolist() == expected.status.tolist()


@pytest.fixture
def filled(store: SQLiteStore) -> SQLiteStore:
    for number, code in enumerate(CODES):
        write(store, code, 100.0 + number)
    return store


@pytest.fixture
def plain(filled: SQLiteStore) -> Iterator[FeatureService]:
    service = FeatureService(lambda: SQLiteStore(filled.path))
    yield service
    service.close()


Make = Callable[..., Replica]


@pytest.fixture
def replica(filled: SQLiteStore) -> Iterator[Make]:
    """Makes replicas on the filled store, or on another; those without Redis share a folder."""
    made: list[Replica] = []

    def make(path: Path = filled.path, *, redis_url: str = "", **how: type[SQLiteStore]) -> Replica:
        folder = None if redis_url else filled.path.parent / "cache"
        made.append(Replica(path, Plan(redis_url=redis_url, folder=folder, timeout_s=1.0), **how))
        return made[-1]

    yield make
    for each in made:
        each.service.close()


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with running_redis(tmp_path) as server:
        yield server.url


def expect(plain: FeatureService, *codes: str, day: date = PAST) -> WireRows:
    return plain.rows([code.encode() for code in codes], [day.isoformat().encode()] * len(codes))


def test_computed_rows_become_hits(replica: Make, plain: FeatureService) -> None:
    mine = replica()
    for counts in ((0, 0, 2), (2, 0, 2)):
        assert_same(mine.ask(*CODES[:2]), expect(plain, *CODES[:2]))
        assert mine.counts == counts
    # Some rows of the call are cached, and one is requested twice.
    asked = (CODES[2], CODES[0], CODES[2], CODES[1])
    assert_same(mine.ask(*asked), expect(plain, *asked))
    assert mine.counts == (4, 0, 3)


class AsGiven(AnyCodec):
    """Caches bytes as they are."""

    def dump(self, _key: str, value: object) -> bytes:
        assert isinstance(value, bytes)
        return value


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x94\x01\xa1\xff\xc4\x00\xc4\x00",  # a text that is not UTF-8
        msgspec.msgpack.encode((2**64 - 1, "token", b"2026-08-14", b"\0" * 100)),
    ],
    ids=["empty", "not UTF-8", "number"],
)
def test_a_damaged_row_is_computed_again(
    replica: Make, plain: FeatureService, value: bytes
) -> None:
    mine = replica()
    key = features_key(CODES[0], PAST, feature_hash())
    mine.cache.set_many({key: value}, 100, codec=AsGiven())
    assert_same(mine.ask(*CODES[:2]), expect(plain, *CODES[:2]))


def test_precomputed_rows_bypass_the_cache(replica: Make, plain: FeatureService) -> None:
    mine = replica()
    assert_same(mine.ask(*CODES, day=DAYS[-1]), expect(plain, *CODES, day=DAYS[-1]))
    assert mine.counts == (0, 0, 0)


def test_only_ok_rows_are_cached(replica: Make, plain: FeatureService) -> None:
    mine = replica()
    for _ in range(2):
        found = mine.ask("999999", CODES[0], day=DAYS[5])
        assert_same(found, expect(plain, "999999", CODES[0], day=DAYS[5]))
    assert found.status.tolist() == [b"UNKNOWN_STOCK", b"SHORT_HISTORY"]
    assert mine.cache.core.size[0] == 0
    assert mine.counts == (0, 0, 2), "the cache was queried for an unknown stock"


def test_a_commit_alone_makes_old_rows_useless(
    replica: Make, filled: SQLiteStore, plain: FeatureService
) -> None:
    """Without any invalidation."""
    mine = replica()
    old = mine.ask(*CODES)
    write(filled, CODES[1], 300.0)
    found = mine.ask(*CODES)
    assert_same(found, expect(plain, *CODES))
    assert found.values[1].tobytes() != old.values[1].tobytes()
    assert mine.counts == (2, 0, 4), "the outdated row counted as a hit"
    assert_same(mine.ask(*CODES), found)
    assert mine.counts == (5, 0, 4)


def test_a_new_base_and_a_new_process_leave_what_is_right(
    replica: Make, filled: SQLiteStore, plain: FeatureService, redis_url: str
) -> None:
    mine = replica(redis_url=redis_url)
    mine.ask(*CODES)
    write(filled, CODES[0], 250.0)
    mine.ask(*CODES)
    market = mine.service._market
    assert market is not None
    market._make_base()
    assert_same(mine.ask(*CODES), expect(plain, *CODES))
    assert mine.counts == (5, 0, 4)
    # It cannot tell which of the rows from before the commit are still correct.
    fresh = replica(redis_url=redis_url)
    assert_same(fresh.ask(*CODES), expect(plain, *CODES))
    assert fresh.counts == (0, 1, 2)


def test_replicas_share_rows_and_commits_count_in_both(
    replica: Make, filled: SQLiteStore, plain: FeatureService, redis_url: str
) -> None:
    one, two = replica(redis_url=redis_url), replica(redis_url=redis_url)
    one.ask(*CODES)
    assert_same(two.ask(*CODES), expect(plain, *CODES))
    assert (one.counts, two.counts) == ((0, 0, 3), (0, 3, 0))
    write(filled, CODES[0], 250.0)
    assert_same(two.ask(*CODES), expect(plain, *CODES))
    assert_same(one.ask(*CODES), expect(plain, *CODES))
    assert (one.counts, two.counts) == ((2, 1, 3), (2, 3, 1))


def test_a_lagging_replica_serves_no_old_row_to_others(
    replica: Make, filled: SQLiteStore, plain: FeatureService, redis_url: str
) -> None:
    late, current = replica(redis_url=redis_url, store=Late), replica(redis_url=redis_url)
    late.ask(CODES[0])  # from here on it reads no changes
    write(filled, CODES[1], 500.0)
    outdated = late.ask(CODES[1])
    found = current.ask(CODES[1])
    assert_same(found, expect(plain, CODES[1]))
    assert found.values.tobytes() != outdated.values.tobytes()
    assert late.ask(CODES[1], CODES[0]).status.tolist() == [b"OK"] * 2


def test_rows_of_another_database_are_not_used(
    replica: Make, filled: SQLiteStore, redis_url: str, tmp_path: Path
) -> None:
    """A copy that went its own way has the same numbers in its change log, and other prices."""
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(filled.path)) as source:
        source.execute("VACUUM INTO ?", (str(copy),))
    with closing(SQLiteStore(copy, write=True)) as other:
        write(other, CODES[0], 700.0)
    write(filled, CODES[0], 200.0)
    one, two = replica(redis_url=redis_url), replica(copy, redis_url=redis_url)
    mine, others = one.ask(CODES[0]), two.ask(CODES[0])
    assert mine.values.tobytes() != others.values.tobytes()
    assert two.counts == (0, 0, 1)


def test_an_invalidation_takes_effect(replica: Make) -> None:
    mine, admin = replica(), replica()
    mine.ask(*CODES)
    admin.cache.invalidate(kind="features", stocks=[CODES[0]])
    mine.ask(*CODES)
    assert mine.counts == (0, 0, 6)


@pytest.mark.parametrize(
    "spoilt",
    [
        None,
        b"",
        "text",
        [1, "token"],
        [1, "t", b"2024-01-01", b"short"],
        {"a": 1},
        [0, "", b"", b""],
    ],
)
def test_nonsense_under_a_key_is_a_cache_miss(
    replica: Make, plain: FeatureService, spoilt: object
) -> None:
    mine = replica()
    key = features_key(CODES[0], PAST, feature_hash())
    mine.cache.set(key, spoilt, ttl=60)
    assert_same(mine.ask(CODES[0]), expect(plain, CODES[0]))
    assert mine.counts == (0, 0, 1)


def test_every_row_is_served_without_redis(
    replica: Make, plain: FeatureService, tmp_path: Path
) -> None:
    with running_redis(tmp_path) as server:
        mine = replica(redis_url=server.url)
        mine.ask(CODES[0])
        server.kill()
        for _ in range(4):
            assert_same(mine.ask(*CODES), expect(plain, *CODES))


def test_an_unreachable_database_has_a_status(
    filled: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Replica(filled.path, Plan())
    assert mine.ask(CODES[0]).status.tolist() == [b"OK"]

    def broken(_: SQLiteStore) -> int:
        raise StoreError("gone")

    monkeypatch.setattr(SQLiteStore, "mark", broken)
    monkeypatch.setattr(SQLiteStore, "columns", broken)
    assert mine.ask(CODES[0]).status.tolist() == [b"STORE_UNAVAILABLE"]
    monkeypatch.undo()
    assert mine.ask(CODES[0]).status.tolist() == [b"OK"]
    assert mine.counts == (1, 0, 1), "the cached row was lost"
    mine.service.close()


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(CODES), st.sampled_from(DAYS[-4:])),
        st.tuples(st.just("all"), st.just(""), st.sampled_from(DAYS[-4:])),
        st.tuples(st.just("write"), st.sampled_from(CODES), st.floats(1.0, 500.0)),
        st.tuples(st.just("clear"), st.sampled_from(CODES), st.none()),
        st.tuples(st.just("rebase"), st.just(""), st.none()),
    ),
    max_size=30,
)


@settings(max_examples=30, deadline=None)
@given(steps=STEPS, turns=st.lists(st.integers(0, 1), min_size=30, max_size=30))
def test_every_answer_is_that_of_the_database_now(
    shared_redis: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
    steps: Sequence[tuple[str, str, object]],
    turns: Sequence[int],
) -> None:
    """Two replicas, commits, clears and new bases in any order, against one without a cache."""
    path = tmp_path_factory.mktemp("cached") / "market.db"
    with closing(SQLiteStore(path, write=True)) as store:
        for code in CODES:
            write(store, code, 100.0)
        plan = Plan(redis_url=shared_redis.url, lease_s=0.05, renew_s=0.02, timeout_s=1.0)
        replicas = [Replica(path, plan) for _ in range(2)]
        plain = FeatureService(lambda: SQLiteStore(path))
        for (action, code, what), turn in zip(steps, turns, strict=False):
            mine = replicas[turn]
            if action == "write":
                write(store, code, float(str(what)))
            elif action == "clear":
                mine.cache.invalidate(kind="features", stocks=[code])
            elif action == "rebase":
                market = mine.service._market
                if market is not None:
                    market._make_base()
            else:
                assert isinstance(what, date)
                codes = CODES if action == "all" else (code,)
                assert_same(mine.ask(*codes, day=what), expect(plain, *codes, day=what))
        for service in (plain, *(each.service for each in replicas)):
            service.close()


def test_real_stocks_on_any_day_through_corrections(
    real_market: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300 random pairs of the real market, asked three times with corrections between."""
    monkeypatch.setattr(live_module, "_REBASE_FROM", 10_000)
    path = tmp_path / "market.db"
    shutil.copy(real_market.database_path, path)
    random = np.random.default_rng(7)
    with closing(SQLiteStore(path, write=True)) as store:
        columns = store.columns()
        newest = columns.prices["day"].max()
        codes = [columns.codes[index] for index in random.integers(0, len(columns), 300)]
        days = [
            (date(1970, 1, 1) + timedelta(days=int(newest) - back)).isoformat().encode()
            for back in random.integers(1, 500, 300).tolist()
        ]
        mine = Replica(path, Plan(local_bytes=1 << 26))
        plain = FeatureService(lambda: SQLiteStore(path))
        for _ in range(3):
            assert_same(mine.service.rows(codes, days), plain.rows(codes, days))
            with store.transaction() as writer:
                for code in codes[:: random.integers(5, 9)]:
                    writer.put_prices(
                        bars(code.decode(), [random.uniform(1, 900)], date(2024, 1, 2))
                    )
        assert_same(mine.service.rows(codes, days), plain.rows(codes, days))
        assert mine.counts[0] > 300
        mine.service.close()
        plain.close()
