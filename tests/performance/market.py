"""The market that is measured: generated once, and kept in bench/ of the data folder.

The naive way gets a database of its own with the same rows: plain tables with an index on the key.
"""

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from gateway.cli.progress import progress_bar
from preprocess.demo.market import build_demo_market
from preprocess.features.derive import refresh_derived
from preprocess.features.labels import circuit_labels
from preprocess.features.row import MINIMUM_ROWS
from preprocess.market.calendar import from_day_number
from preprocess.market.columns import MarketColumns
from preprocess.market.values import CircuitLabel, StockHistory
from preprocess.settings import Settings, load_settings
from preprocess.store import Store, Writer
from preprocess.store.migrations import migrations
from preprocess.store.sqlite.store import SQLiteStore
from tests.paths import PROJECT_ROOT

SEED = 20260814
_SAMPLES_VERSION = 2  # to be raised when _derive draws others
LAST_DAY = date(2026, 8, 14)
CIRCUIT_PCT = 5.0

_KEYS = {
    "price_movements": "bse_code, date",
    "historical_financials": "bse_code, fiscal_year, quarter",
    "corporate_actions": "bse_code, ex_date",
    "upper_circuit_labels": "bse_code, earnings_date",
    "static_features": "bse_code, month",
}


@dataclass(frozen=True)
class Recipe:
    """What a generated market is made from. Samples beyond the announcements lie on other days."""

    stocks: int
    trading_days: int
    samples: int
    seed: int = SEED
    last_day: str = LAST_DAY.isoformat()

    @property
    def name(self) -> str:
        """Name of the market's folder."""
        return f"market-{self.stocks}x{self.trading_days}"

    def fingerprint(self) -> dict[str, object]:
        """The recipe with what else makes the market what it is: the sources of the generator."""
        sources = hashlib.sha256(f"samples {_SAMPLES_VERSION}".encode())
        for source in sorted((PROJECT_ROOT / "preprocess" / "demo").glob("*.py")):
            sources.update(source.read_bytes())
        schema = migrations()[-1].number
        return asdict(self) | {"sources": sources.hexdigest(), "schema": schema}


WHOLE = Recipe(stocks=11_000, trading_days=365, samples=100_000)
QUICK = Recipe(stocks=400, trading_days=365, samples=4_000)
SMALL = Recipe(stocks=100, trading_days=365, samples=1_000)


@dataclass(frozen=True)
class BenchMarket:
    """A market's files: the product's database, and the naive way's database."""

    name: str
    database: Path
    naive: Path


def generated_market(home: Path, recipe: Recipe) -> BenchMarket:
    """The market of a recipe; made if it is not there, or was made by another recipe."""
    folder = home / "bench" / recipe.name
    record = folder / "recipe.json"
    wanted = recipe.fingerprint()
    if not record.is_file() or json.loads(record.read_text(encoding="utf-8")) != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with closing(SQLiteStore(folder / "market.db", write=True)) as store:
            _fill(store, recipe)
        _copy_for_naive(folder / "market.db", folder / "naive.db")
        record.write_text(json.dumps(wanted), encoding="utf-8")
    return BenchMarket(recipe.name, folder / "market.db", folder / "naive.db")


def read_columns(database: Path) -> MarketColumns:
    """The whole market of a file."""
    with closing(SQLiteStore(database)) as store:
        return store.columns()


def bench_settings(market: BenchMarket) -> Settings:
    """Settings whose database is the market's."""
    return load_settings(
        data_dir=market.database.parent, database_url=f"sqlite:///{market.database}"
    )


def _fill(store: Store, recipe: Recipe) -> None:
    with progress_bar(f"Market of {recipe.stocks:,} stocks") as advance:
        build_demo_market(
            store,
            last_day=date.fromisoformat(recipe.last_day),
            derive=partial(_derive, samples=recipe.samples, seed=recipe.seed),
            seed=recipe.seed,
            stocks=recipe.stocks,
            trading_days=recipe.trading_days,
            progress=advance,
        )


def _derive(writer: Writer, *, samples: int, seed: int) -> None:
    refresh_derived(writer, circuit_pct=CIRCUIT_PCT)
    lacking = samples - writer.span().counts["upper_circuit_labels"]
    codes = writer.bse_codes()
    random = np.random.default_rng(seed)
    for index, code in enumerate(codes):
        history = writer.history(code)
        count = -(-lacking // (len(codes) - index))
        if count > 0 and history is not None:
            more = _more_labels(history, count, random)
            writer.replace_labels(
                code, sorted([*history.labels, *more], key=lambda label: label.earnings_date)
            )
            lacking -= len(more)


def _more_labels(
    history: StockHistory, count: int, random: np.random.Generator
) -> list[CircuitLabel]:
    """At most `count` labels of days on which nothing was announced."""
    if not history.results:
        return []
    announced = {result.announced_on for result in history.results}
    days = [from_day_number(day) for day in history.prices.days[MINIMUM_ROWS:-1].tolist()]
    free = [day for day in days if day not in announced]
    chosen = random.permutation(len(free))[: 2 * count].tolist()
    first = history.results[0]
    made_up = [
        replace(first, quarter=first.quarter.shifted(number), announced_on=free[index])
        for number, index in enumerate(chosen)
    ]
    labels = circuit_labels(replace(history, results=tuple(made_up)), circuit_pct=CIRCUIT_PCT)
    kept = random.permutation(len(labels))[:count].tolist()
    return [labels[index] for index in kept]


def _copy_for_naive(database: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(target)) as connection:
        connection.execute("ATTACH ? AS source", (str(database),))
        for table, key in _KEYS.items():
            connection.execute(f"CREATE TABLE {table} AS SELECT * FROM source.{table}")
            connection.execute(f"CREATE INDEX {table}_key ON {table} ({key})")
        connection.commit()
        connection.execute("ANALYZE")
        connection.commit()
