"""A database of an earlier version is brought up to date with its rows, of either kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from preprocess.database_url import SQLiteURL
from preprocess.store import migrations as every
from preprocess.store.postgres.migrations import DIALECT
from tests.postgres import PostgresServer
from tests.preprocess.store.markets import TestDatabase, assert_same_columns

OLD_SCHEMA = 6
_ROWS = (
    "INSERT INTO stocks (bse_code, industry, nse_symbol) VALUES ('500001', 'Steel', 'ALPHA')",
    "INSERT INTO price_movements (bse_code, date, open, high, low, close, volume)"
    " VALUES ('500001', '2024-01-01', 1, 2, 1, 2, 100), ('500001', '2024-01-02', 2, 2, 2, 2, 10)",
    "INSERT INTO historical_financials (bse_code, fiscal_year, quarter, period_end, announced_on,"
    " revenue_cr, pat_cr, eps) VALUES ('500001', 2024, 'Q2', '2023-09-30', '2024-01-01', 9, 3, 1)",
    "INSERT INTO upper_circuit_labels (bse_code, earnings_date, next_day_date, price_change_pct,"
    " label) VALUES ('500001', '2024-01-01', '2024-01-02', 0, 0)",
    "INSERT INTO static_features (bse_code, month, sector, sector_code)"
    " VALUES ('500001', '2024-01', 'Steel', 7)",
)


@pytest.fixture(params=["sqlite", DIALECT])
def old(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestDatabase]:
    """A database of schema 6, with rows and the packs of that time."""
    steps = {name: every.migrations(name)[:OLD_SCHEMA] for name in ("sqlite", DIALECT)}
    with monkeypatch.context() as patch:
        for module in ("preprocess.store.migrations", "preprocess.store.postgres.migrations"):
            patch.setattr(f"{module}.migrations", lambda name="sqlite": steps[name])
        if request.param == "sqlite":
            here = TestDatabase(SQLiteURL(tmp_path / "old.db"))
            here.open().close()
            pack = "x'{}'"
        else:
            url = request.getfixturevalue("no_market")
            here = TestDatabase(url)
            here.open().close()
            pack = r"'\x{}'"
    for sql in _ROWS:
        here.run(sql)
    # A label took 24 bytes then.
    packed = ", ".join(pack.format(bytes(size).hex()) for size in (40, 0, 24, 24))
    here.run(
        "INSERT INTO stock_packs (bse_code, results, actions, labels, statics)"
        f" VALUES ('500001', {packed})"
    )
    with here.closing:
        yield here


@pytest.fixture
def no_market(postgres_server: PostgresServer) -> Iterator[object]:
    """A database of PostgreSQL without tables."""
    with postgres_server.database("template1") as url:
        yield url


def test_rows_stay_and_packs_are_written_anew(old: TestDatabase) -> None:
    upgraded = old.open()
    found = upgraded.history("500001")
    assert found is not None
    assert found.prices.close.tolist() == [2.0, 2.0]
    (result,), (label,), (stamp,) = found.results, found.labels, found.statics
    assert (result.revenue_cr, result.eps, result.eps_as_of is None) == (9.0, 1.0, False)
    assert (label.label, label.upper_circuit) == (0, None)
    assert (stamp.sector, stamp.sector_code) == ("Steel", 7)
    assert upgraded.sector_codes() == {"Steel": 7}
    assert [(each.bse_code, each.nse_symbol) for each in upgraded.identities()] == [
        ("500001", "ALPHA")
    ]
    columns = upgraded.columns()
    with upgraded.transaction() as writer:
        assert writer.rebuild_packs(["500001"]) == set()
    assert_same_columns(columns, upgraded.columns())
    assert columns.prices["close"].tolist() == [2.0, 2.0]
