"""Markets in either database, small ones made by hand, and their comparison bit for bit."""

import sqlite3
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from preprocess.database_url import DatabaseURL, SQLiteURL
from preprocess.market.columns import SCHEMA, MarketColumns
from preprocess.market.values import CircuitLabel, CorporateAction, StaticRow
from preprocess.settings import Settings, load_settings
from preprocess.store import Store, open_database
from preprocess.store.postgres.connection import connect
from tests.builders import bars, result
from tests.postgres import written_out


@dataclass
class TestDatabase:
    """A database of either kind; the stores opened in it are closed with the test."""

    __test__ = False

    url: DatabaseURL
    closing: ExitStack = field(default_factory=ExitStack)

    def settings(self, **overrides: Any) -> Settings:
        """Settings that name this database."""
        return load_settings(database_url=written_out(self.url), **overrides)

    def open(self, *, write: bool = True) -> Store:
        """A store in this database."""
        store = open_database(self.url, self.settings(), write=write)
        self.closing.callback(store.close)
        return store

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement without the store, as from a database shell; the rows it gave."""
        if isinstance(self.url, SQLiteURL):
            with closing(sqlite3.connect(self.url.path, isolation_level=None)) as connection:
                return connection.execute(sql).fetchall()
        with closing(connect(self.url)) as postgres:
            return postgres.query_once(sql)


def fill(store: Store, codes: list[str]) -> None:
    """Stocks with prices, results, a split, a label and a stamp, all different."""
    with store.transaction() as writer:
        for number, code in enumerate(codes):
            closes = [50.0 + number + (row * 7 % 13) / 4 for row in range(60)]
            writer.put_prices(bars(code, closes))
            writer.put_results([(code, result(2024, 2, revenue=100.0 + number))])
            writer.put_actions([(code, CorporateAction(date(2024, 2, 1), "split", 2.0, "2 for 1"))])
            writer.replace_labels(
                code, [CircuitLabel(date(2024, 2, 5), date(2024, 2, 6), 1.0 + number, 0)]
            )
            writer.put_statics([(code, StaticRow("2024-02", "Steel", 1, 10.0, number % 3))])


def assert_same_columns(
    found: MarketColumns, expected: MarketColumns, *, marks: bool = True
) -> None:
    """The same stocks with the same bits, as of the same mark unless `marks` is False."""
    assert found.codes.tolist() == expected.codes.tolist()
    assert not marks or found.mark == expected.mark
    for name, columns in SCHEMA.items():
        mine, theirs = found.tables[name], expected.tables[name]
        assert mine.starts.tolist() == theirs.starts.tolist(), name
        for column in columns:
            assert mine[column].dtype == theirs[column].dtype, (name, column)
            assert mine[column].tobytes() == theirs[column].tobytes(), (name, column)
