"""The service behind Triton's features model: fresh after every commit, whatever it has kept."""

import sqlite3
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.errors import FeatureError, StoreError
from preprocess.features.row import Status
from preprocess.market.columns import MarketColumns
from preprocess.market.golden_row import GOLDEN_CODE, GOLDEN_DATE, golden_history
from preprocess.serving.service import FeatureService
from preprocess.serving.wire import WireRows
from preprocess.store import Store
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import bars, weekdays
from tests.preprocess.features.definition import feature_row

CODES = ("500001", "500002", "500003")
DAYS = weekdays(60)
LAST = DAYS[-1].isoformat().encode()


def reopen(path: Path) -> Callable[[], Store]:
    return lambda: SQLiteStore(path)


def write(store: SQLiteStore, code: str, closes: list[float]) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars(code, closes))


@pytest.fixture
def filled(store: SQLiteStore) -> SQLiteStore:
    for number, code in enumerate(CODES):
        write(store, code, [100.0 + number + row % 7 for row in range(60)])
    return store


def asked(service: FeatureService, code: str, day: bytes = LAST) -> WireRows:
    return service.rows([code.encode()], [day])


def test_rows_are_float32_and_in_order(filled: SQLiteStore) -> None:
    service = FeatureService(reopen(filled.path))
    codes = [CODES[2], "999999", CODES[0], "bad", CODES[1]]
    batch = service.rows([code.encode() for code in codes], [LAST] * 5)
    assert batch.values.dtype == np.float32
    assert batch.values.shape == (5, 25)
    expected = [b"OK", b"UNKNOWN_STOCK", b"OK", b"INVALID_CODE", b"OK"]
    assert batch.status.tolist() == expected
    assert batch.as_of.tolist() == [LAST, b"", LAST, b"", LAST]
    for index in (0, 2, 4):
        history = filled.history(codes[index])
        assert history is not None
        row = feature_row(history, DAYS[-1]).values
        np.testing.assert_allclose(batch.values[index], row, rtol=1e-6)
    assert np.isnan(batch.values[[1, 3]]).all()
    service.close()


def test_no_rows_are_an_empty_batch(filled: SQLiteStore) -> None:
    service = FeatureService(reopen(filled.path))
    assert service.rows([], []).values.shape == (0, 25)
    service.close()


def test_the_golden_row_shows_that_the_database_answers(tmp_path: Path) -> None:
    golden = (GOLDEN_CODE, GOLDEN_DATE.isoformat().encode())
    service = FeatureService(reopen(tmp_path / "absent.db"))
    assert asked(service, *golden).status.tolist() == [b"STORE_UNAVAILABLE"]
    assert asked(service, CODES[0]).status.tolist() == [b"STORE_UNAVAILABLE"]
    SQLiteStore(tmp_path / "absent.db", write=True).close()
    found = asked(service, *golden)
    assert found.status.tolist() == [b"OK"]
    expected = feature_row(golden_history(), GOLDEN_DATE).values
    np.testing.assert_allclose(found.values[0], expected, rtol=1e-6)
    service.close()


class BreakingStore(SQLiteStore):
    """A store whose reads of single stocks fail; that of the whole market does not."""

    def columns(self, bse_codes: Sequence[str] | None = None) -> MarketColumns:
        if bse_codes is not None:
            raise StoreError(f"{bse_codes} cannot be read")
        return super().columns()


def test_a_store_that_fails_in_the_middle_is_opened_again(filled: SQLiteStore) -> None:
    stores: list[Store] = [BreakingStore(filled.path), SQLiteStore(filled.path)]
    service = FeatureService(lambda: stores.pop(0))
    assert asked(service, CODES[0]).status.tolist() == [b"OK"]
    write(filled, CODES[0], [50.0] * 60)
    assert asked(service, CODES[0]).status.tolist() == [Status.STORE_UNAVAILABLE.encode()]
    assert asked(service, CODES[0]).status.tolist() == [b"OK"]
    service.close()


def test_another_width_is_refused() -> None:
    FeatureService.require_width(25)
    with pytest.raises(FeatureError, match="24 columns"):
        FeatureService.require_width(24)


@pytest.mark.parametrize(
    "day", [b"", b"2024-13-01", b"20240101", b"2024-W01-1", b"2024-01-01T00", "२०२४-०१-०१".encode()]
)
def test_only_calendar_days_are_dates(filled: SQLiteStore, day: bytes) -> None:
    service = FeatureService(reopen(filled.path))
    assert asked(service, CODES[0], day).status.tolist() == [b"INVALID_DATE"]
    service.close()


def test_a_day_after_today_in_mumbai_is_no_date(filled: SQLiteStore) -> None:
    late = datetime(2024, 3, 21, 18, 29, tzinfo=UTC)  # 23:59 in Mumbai
    for moment, status in ((late, b"INVALID_DATE"), (late + timedelta(minutes=1), b"OK")):
        service = FeatureService(reopen(filled.path), clock=lambda now=moment: now)  # type: ignore[misc]
        assert asked(service, CODES[0]).status.tolist() == [status]
        service.close()


def test_megabytes_as_a_date_are_not_kept(filled: SQLiteStore) -> None:
    service = FeatureService(reopen(filled.path))
    tracemalloc.start()
    for number in range(3):
        assert asked(service, CODES[0], b"%d" % number * 5_000_000).status.tolist() == [
            b"INVALID_DATE"
        ]
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000
    service.close()


@pytest.mark.parametrize("way", ["another file in its place", "restored into the same file"])
def test_a_database_that_is_restored_while_serving_is_read_anew(
    filled: SQLiteStore, tmp_path: Path, way: str
) -> None:
    dump = tmp_path / "dump.db"
    with closing(sqlite3.connect(filled.path)) as source, closing(sqlite3.connect(dump)) as target:
        source.backup(target)
    service = FeatureService(reopen(filled.path))
    before = asked(service, CODES[0]).values.tobytes()
    write(filled, CODES[0], [50.0] * 60)
    assert asked(service, CODES[0]).values.tobytes() != before
    filled.close()
    if way == "another file in its place":
        dump.replace(filled.path)
        for ending in ("-wal", "-shm"):
            Path(f"{filled.path}{ending}").unlink(missing_ok=True)
    else:
        with (
            closing(sqlite3.connect(dump)) as source,
            closing(sqlite3.connect(filled.path)) as target,
        ):
            source.backup(target)
    with closing(SQLiteStore(filled.path, write=True)) as again:
        write(again, CODES[1], [70.0] * 60)  # as many commits as before the restoration
    assert asked(service, CODES[0]).values.tobytes() == before
    service.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(CODES), st.just(0.0)),
        st.tuples(st.just("write"), st.sampled_from(CODES), st.floats(1.0, 500.0)),
    ),
    max_size=25,
)


@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_no_answer_is_older_than_the_last_commit(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, float]]
) -> None:
    """Any sequence of questions and corrections: each answer is that of the database now."""
    path = tmp_path_factory.mktemp("shelf") / "market.db"
    store = SQLiteStore(path, write=True)
    for code in CODES:
        write(store, code, [100.0 + row % 7 for row in range(40)])
    service = FeatureService(reopen(path))
    for action, code, close in steps:
        if action == "write":
            write(store, code, [close] * 40)
        else:
            history = store.history(code)
            assert history is not None
            expected = feature_row(history, date(2024, 6, 1)).values
            found = asked(service, code, b"2024-06-01").values[0]
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    service.close()
    store.close()
