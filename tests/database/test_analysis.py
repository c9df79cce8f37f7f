"""Indexes are recommended when they were seen to help, and only then."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from preprocess.database.analysis import Analysis, analyse, logged_queries
from preprocess.database_url import SQLiteURL
from preprocess.errors import StoreError
from preprocess.store import Store
from preprocess.store.indexes import Index, candidates
from preprocess.store.laboratory import Built, Plan, median_ms
from preprocess.store.postgres_connection import connect
from preprocess.store.postgres_laboratory import PostgresLaboratory
from preprocess.store.slow_log import SlowQuery
from preprocess.store.sql_text import Wanted
from preprocess.store.sqlite_laboratory import SQLiteLaboratory
from preprocess.store.tools import tools_for
from preprocess.store.workload import NamedQuery
from tests.builders import bars
from tests.store.places import Place
from tests.store.raw import run

BY_ISIN = "SELECT bse_code FROM stocks WHERE isin = ? ORDER BY bse_code"
BY_VOLUME = "SELECT sum(close) FROM price_movements WHERE volume >= ?"


def fill(place: Place, stocks: int = 20_000) -> None:
    """Stocks, and bars of which all have the same volume."""
    numbers = (
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {stocks})"
        if isinstance(place.url, SQLiteURL)
        else f"WITH n AS (SELECT i FROM generate_series(1, {stocks}) AS i)"
    )
    code = "substr('000000' || i, -6)"
    if not isinstance(place.url, SQLiteURL):
        code = "lpad(i::text, 6, '0')"
    into = "INSERT INTO stocks (bse_code, isin, status)"
    run(place, f"{into} {numbers} SELECT {code}, 'INE' || i, 'active' FROM n")
    day = "'2024-01-01'" if isinstance(place.url, SQLiteURL) else "DATE '2024-01-01'"
    bar = "INSERT INTO price_movements (bse_code, date, open, high, low, close, volume)"
    run(place, f"{bar} {numbers} SELECT {code}, {day}, 1, 1, 1, 1, 100 FROM n")


def analysed(place: Place, *queries: NamedQuery) -> Analysis:
    with tools_for(place.settings()).laboratory() as laboratory:
        return analyse(laboratory, queries)


def test_the_index_that_helps_is_found_and_one_that_does_not_is_not(
    place: Place, store: Store
) -> None:
    fill(place)
    found = analysed(
        place,
        NamedQuery("by isin", BY_ISIN, ("INE77",)),
        NamedQuery("by volume", BY_VOLUME, (100,)),
        NamedQuery("by key", "SELECT * FROM stocks WHERE bse_code = ?", ("000007",)),
        NamedQuery("all", "SELECT * FROM stocks", ()),
        NamedQuery("wrong", "SELECT nothing FROM nowhere", ()),
    )
    by_isin, by_volume, by_key, everything, wrong = found.reports
    recommended = by_isin.recommendation
    assert recommended is not None
    assert recommended.index.table == "stocks"
    assert recommended.index.columns[0] == "isin"
    assert recommended.ms_after < recommended.ms_before / 2
    assert recommended.size_bytes > 0
    assert any(recommended.index.name in line for line in recommended.plan_after)
    assert not any(recommended.index.name in line for line in recommended.plan_before)
    assert by_volume.recommendation is None
    assert [trial.index.columns for trial in by_volume.trials] == [("volume",)]
    assert "No index helps, because tezi_ix_price_movements_volume" in by_volume.reason
    assert by_key.reason == "No index helps, because every table is reached by a key already."
    assert "reads whole tables" in everything.reason
    assert "refused" in wrong.reason
    assert found.recommendations == [recommended]
    # Nothing of it has reached the database.
    assert tools_for(place.settings()).create_indexes([]) == []
    names = (
        "SELECT name FROM sqlite_master WHERE name LIKE 'tezi_ix%'"
        if isinstance(place.url, SQLiteURL)
        else "SELECT relname FROM pg_class WHERE relname LIKE 'tezi_ix%'"
    )
    assert run(place, names) == []
    if isinstance(place.url, SQLiteURL):
        assert sorted(entry.name.split("-")[0] for entry in place.url.path.parent.iterdir()) in (
            ["market.db"],
            ["market.db", "market.db", "market.db"],
        )


def test_an_index_is_made_once_and_all_or_none(place: Place, store: Store) -> None:
    tools = tools_for(place.settings())
    isin, name = Index("stocks", ("isin",)), Index("stocks", ("company_name", "isin"))
    assert tools.create_indexes([isin, isin]) == [isin]
    assert tools.create_indexes([isin, name]) == [name]
    assert tools.create_indexes([isin, name]) == []
    other = Index("stocks", ("status",))
    run(place, f"CREATE INDEX {other.name} ON stocks (industry)")
    new = Index("stocks", ("nse_symbol",))
    with pytest.raises(StoreError, match="already, over other columns"):
        tools.create_indexes([new, other])
    assert tools.create_indexes([new]) == [new]  # the failure left nothing of it
    with pytest.raises(StoreError):
        tools.create_indexes([Index("stocks", ("no_such_column",))])


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("stocks; DROP TABLE stocks", ("isin",)),
        ("stocks", ("isin) --",)),
        ("stocks", ()),
        ("stocks", ("isin", "isin")),
        ("Stocks", ("isin",)),
    ],
)
def test_names_that_are_none_are_refused(table: str, columns: tuple[str, ...]) -> None:
    with pytest.raises(StoreError, match="no index of a table"):
        Index(table, columns)


def test_candidates_put_equalities_before_a_range_and_leave_out_what_is_there() -> None:
    wanted = Wanted(("a", "x"), ("b", "c"), ("d",))
    found = [index.columns for index in candidates("t", "abcd", [["c", "d"], ["b"]], wanted)]
    assert found == [("a", "b"), ("a", "d"), ("a",), ("d",)]
    long = Index("t" * 40, ("a" * 40,))
    assert len(long.name) == 63


def test_a_large_database_is_sampled(place: Place, store: Store) -> None:
    with store.transaction() as writer:
        for number in range(60):
            writer.put_prices(bars(f"{number:06d}", [1.0] * 50))
    if isinstance(place.url, SQLiteURL):
        size = place.url.path.stat().st_size
        made: SQLiteLaboratory | PostgresLaboratory
        made = SQLiteLaboratory(place.url.path, largest_copy=size // 3)
        rows: Callable[[str], Iterable[tuple[int, int]]] = made._connection.execute
    else:
        connection = connect(place.url)
        place.closing.callback(connection.close)
        sizes = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind IN ('r', 'm')"
        size = int(connection.query_once(f"{sizes} AND relname !~ '^(pg|sql)_'")[0][0])
        made = PostgresLaboratory(connection, largest_copy=size // 3)
        rows = connection.query_once
    assert "one stock in" in made.what
    counts = "SELECT count(*), count(DISTINCT bse_code) FROM price_movements"
    ((copied, stocks),) = rows(counts)
    assert 10 <= stocks <= 30
    assert copied == 50 * stocks
    if isinstance(made, SQLiteLaboratory):
        made.close()


def test_no_room_for_a_copy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "market.db").write_bytes(b"x" * 4096)
    usage = type("Usage", (), {"free": 1_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(StoreError, match="no room for a copy"):
        SQLiteLaboratory(tmp_path / "market.db")
    assert [entry.name for entry in tmp_path.iterdir()] == ["market.db"]


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "market.db").write_bytes(b"x" * 4096)
    with pytest.raises(StoreError, match="could not be made"):
        SQLiteLaboratory(tmp_path / "market.db")
    assert [entry.name for entry in tmp_path.iterdir()] == ["market.db"]


class Fickle:
    """A laboratory whose measurements are given, in the order in which they are asked for."""

    what = "nothing"

    def __init__(self, *measured: float | None) -> None:
        self._measured = list(measured)
        self._built: Index | None = None

    def plan(self, query: NamedQuery) -> Plan:
        used = (self._built.name,) if self._built else ()
        return Plan(("SCAN t", *used), ("t",))

    def measure(self, query: NamedQuery) -> float | None:
        return self._measured.pop(0)

    def candidates(self, query: NamedQuery, plan: Plan) -> list[Index]:
        return [Index("t", ("a",))]

    @contextmanager
    def built(self, index: Index) -> Iterator[Built]:
        self._built = index
        yield Built(4096, 1.0)
        self._built = None


@pytest.mark.parametrize(
    ("measured", "recommended"),
    [
        ((10.0, 2.0, 9.0), True),
        ((10.0, 2.0, 2.1), False),  # it was a busy machine, and not the index
        ((10.0, 8.0), False),  # not worth the room
        ((0.12, 0.05), False),  # nothing to gain
        ((None, 2.0, None), True),  # too long to measure before
        ((None, None), False),
    ],
)
def test_only_a_gain_that_lasts_counts(
    measured: tuple[float | None, ...], recommended: bool
) -> None:
    found = analyse(Fickle(*measured), [NamedQuery("q", "SELECT 1", ())])
    assert bool(found.recommendations) is recommended
    assert recommended or found.reports[0].reason.startswith("No index helps, because")


def test_a_query_that_takes_too_long_is_not_waited_for(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(place, 3_000)
    kind = "sqlite" if isinstance(place.url, SQLiteURL) else "postgres"
    monkeypatch.setattr(f"preprocess.store.{kind}_laboratory.LONGEST_RUN_S", 0.2)
    endless = NamedQuery(
        "endless",
        "SELECT count(*) FROM stocks a, stocks b, stocks c WHERE a.isin < b.isin OR c.isin = ?",
        ("x",),
    )
    with tools_for(place.settings()).laboratory() as laboratory:
        if isinstance(place.url, SQLiteURL):
            assert laboratory.plan(endless).slow_tables == ("stocks",)
        assert laboratory.measure(endless) is None


def test_the_slowest_of_the_log_come_first_and_each_once() -> None:
    entries = [
        SlowQuery("", 600.0, "SELECT 1 WHERE a = ?", [1]),
        SlowQuery("", 700.0, "select 1  WHERE a = ?", [2]),
        SlowQuery("", 900.0, "SELECT 2", []),
        SlowQuery("", 5_000.0, "UPDATE t SET a = 1", []),
        SlowQuery("", 5_000.0, "SELECT 3", None),
    ]
    found = logged_queries(entries)
    assert [(query.name, query.sql, query.parameters) for query in found] == [
        ("slow/1", "select 1  WHERE a = ?", [2]),
        ("slow/2", "SELECT 2", ()),
    ]
    assert {query.source for query in found} == {"slow-query log"}
    assert [query.name for query in logged_queries(entries, most=1)] == ["slow/1"]


def test_the_first_run_is_not_counted() -> None:
    runs = iter([100.0, *[1.0] * 20])
    assert median_ms(lambda: next(runs)) == 1.0
    stuck = iter([1.0, None])
    assert median_ms(lambda: next(stuck)) is None
