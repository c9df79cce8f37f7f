"""The demo market in a store: the same for the same seed, whole or not at all, and learnable."""

import hashlib
import math
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from preprocess.demo.calendar import is_trading_day
from preprocess.demo.companies import INDUSTRIES
from preprocess.demo.market import DemoMarket, build_demo_market, draw_market
from preprocess.demo.signal import Visible, propensity
from preprocess.derive import refresh_derived
from preprocess.errors import StoreError
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.features.row import Status
from preprocess.features.vector import feature_row
from preprocess.market import Floats, Span
from preprocess.settings import PROJECT_ROOT
from preprocess.store import Writer
from preprocess.store.sqlite import SQLiteStore
from tests.builders import bars
from tests.demo.conftest import LAST_DAY
from tests.demo.labelling import Sample, samples

STOCKS, TRADING_DAYS = 60, 200


def derive_all(writer: Writer) -> None:
    refresh_derived(writer, circuit_pct=5.0)


def derive_nothing(writer: Writer) -> None:
    """Leave labels and stamps out."""


def build(
    store: SQLiteStore,
    *,
    seed: int = 1,
    derive: Callable[[Writer], None] = derive_nothing,
    progress: Callable[[int, int], None] | None = None,
) -> Span:
    return build_demo_market(
        store,
        last_day=LAST_DAY,
        seed=seed,
        stocks=STOCKS,
        trading_days=TRADING_DAYS,
        derive=derive,
        progress=progress,
    )


def digest(path: Path) -> str:
    """A hash of every row of every table, but for times and the random tokens of the log."""
    found = hashlib.sha256()
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'schema_migrations'"
        )
        for (table,) in sorted(tables.fetchall()):
            found.update(table.encode())
            columns = "sequence, bse_code, date" if table == "change_log" else "*"
            rows = connection.execute(f"SELECT {columns} FROM {table}").fetchall()
            for row in sorted(rows, key=repr):
                found.update(repr(row).encode())
    return found.hexdigest()


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(tmp_path: Path) -> None:
    digests = []
    for name, seed in (("first", 7), ("again", 7), ("other", 8)):
        with closing(SQLiteStore(tmp_path / f"{name}.db", write=True)) as store:
            build(store, seed=seed, derive=derive_all)
            digests.append(digest(store.path))
    assert digests[0] == digests[1] != digests[2]


def test_what_is_stored_is_the_market(store: SQLiteStore) -> None:
    told: list[tuple[int, int]] = []
    span = build(
        store, seed=5, derive=derive_all, progress=lambda done, total: told.append((done, total))
    )
    market = draw_market(last_day=LAST_DAY, seed=5, stocks=STOCKS, trading_days=TRADING_DAYS)
    assert told == [(20, 60), (40, 60), (60, 60)]
    assert span == store.span()
    assert span.stocks == 60
    assert span.price_rows == market.companies.rows.sum()
    assert (span.first_day, span.last_day) == (market.days[0], LAST_DAY)
    assert store.stocks() == [market.stock(company) for company in range(60)]
    for company, history in enumerate(store.histories()):
        written = market.bars(company)
        assert history.prices.close.tolist() == [bar.close for bar in written]
        assert history.prices.volume.tolist() == [bar.volume for bar in written]
        assert not history.prices.adjusted.any()
        assert list(history.actions) == market.actions(company)
        assert repr(list(history.results)) == repr(market.filings.results(company))
    derived = {
        (history.bse_code, label.earnings_date): label.label
        for history in store.histories()
        for label in history.labels
    }
    assert derived == {
        (market.stock(sample.company).bse_code, sample.announced): sample.label
        for sample in samples(market)
    }


def test_bars_know_the_close_before_and_stand_on_trading_days(small: DemoMarket) -> None:
    for company in range(len(small)):
        written = small.bars(company)
        assert written[0].prev_close is None
        assert [bar.prev_close for bar in written[1:]] == [bar.close for bar in written[:-1]]
        assert all(is_trading_day(bar.day) for bar in written)
        assert all(type(bar.volume) is int for bar in written)


def test_a_store_with_data_is_refused_and_left_alone(store: SQLiteStore) -> None:
    build(store)
    before = digest(store.path)
    with pytest.raises(StoreError, match=r"60 stocks.*TEZI_DATABASE_URL.*TEZI_DATA_DIR"):
        build(store)
    assert digest(store.path) == before


def test_a_single_real_stock_is_enough_to_refuse(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars("500325", [1.0]))
    with pytest.raises(StoreError, match="never mixed"):
        build(store)
    assert store.bse_codes() == ["500325"]


def test_an_error_half_way_leaves_the_store_empty(store: SQLiteStore) -> None:
    def fail(writer: Writer) -> None:
        assert writer.span().price_rows > 0
        raise KeyboardInterrupt

    empty = digest(store.path)
    with pytest.raises(KeyboardInterrupt):
        build(store, derive=fail)
    assert digest(store.path) == empty
    assert build(store).stocks == 60


KILLED_HALF_WAY = """
import os, signal, sys
from datetime import date
from pathlib import Path
from preprocess.demo.market import build_demo_market
from preprocess.store.sqlite import SQLiteStore

def progress(done, total):
    if done >= total // 2:
        os.kill(os.getpid(), signal.SIGKILL)

store = SQLiteStore(Path(sys.argv[1]), write=True)
build_demo_market(store, last_day=date(2026, 8, 14), stocks=60, trading_days=200,
                  progress=progress, derive=lambda writer: None)
"""


def test_a_killed_run_leaves_an_empty_database(tmp_path: Path) -> None:
    path = tmp_path / "market.db"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_HALF_WAY, str(path)], cwd=PROJECT_ROOT, check=False
    )
    assert ended.returncode == -9
    with closing(SQLiteStore(path, write=True)) as store:
        assert not any(store.span().counts.values())
        assert store.sequence() == 0
        assert build(store).stocks == 60


@pytest.mark.parametrize(("stocks", "trading_days"), [(0, 200), (100_000, 200), (10, 59)])
def test_sizes_out_of_range_are_refused(stocks: int, trading_days: int) -> None:
    with pytest.raises(ValueError, match="demo market"):
        draw_market(last_day=LAST_DAY, stocks=stocks, trading_days=trading_days)


def test_the_propensity_follows_from_what_the_features_see(store: SQLiteStore) -> None:
    """The hidden chance again, from the stored rows by the served features as of the day."""
    build(store, seed=5, derive=derive_all)
    market = draw_market(last_day=LAST_DAY, seed=5, stocks=STOCKS, trading_days=TRADING_DAYS)
    checked = 0
    for sample in samples(market):
        history = store.history(market.stock(sample.company).bse_code)
        assert history is not None
        row = feature_row(history, sample.announced)
        if row.status is not Status.OK:
            continue
        seen = dict(zip(FEATURE_NAMES, row.values.tolist(), strict=True))
        visible = Visible(
            INDUSTRIES.index(market.stock(sample.company).industry or ""),
            seen["pat_growth_yoy"],
            seen["volume_spike_ratio"],
            seen["pre_volume_trend"],
            seen["momentum_10d"],
        )
        assert sample.propensity == pytest.approx(propensity(visible), rel=1e-9)
        checked += 1
    assert checked > 100


@pytest.mark.parametrize("seed", range(3))
def test_other_seeds_have_the_share_and_the_signal_too(seed: int) -> None:
    found = samples(draw_market(last_day=LAST_DAY, seed=seed, stocks=250, trading_days=250))
    labels = [sample.label for sample in found]
    assert 0.06 < np.mean(labels) < 0.14
    assert 0.7 < roc_auc_score(labels, [sample.propensity for sample in found]) < 0.95


def visible_quantities(market: DemoMarket, found: list[Sample]) -> Floats:
    """Growth of profit, and volume against the 20 rows before, from rows up to the day; [n, 3]."""
    rows = []
    bars_of = [market.bars(company) for company in range(len(market))]
    for sample in found:
        past = [bar for bar in bars_of[sample.company] if bar.day <= sample.announced]
        volumes = np.array([bar.volume for bar in past[-21:]], dtype=np.float64)
        now = market.filings.pat[sample.company, sample.place]
        year_ago = market.filings.pat_year_ago(sample.company, sample.place)
        growth = (now - year_ago) / abs(year_ago) if year_ago else 0.0
        late, early = volumes[-5:].mean(), volumes[:-5].mean() if len(volumes) > 5 else 0.0
        rows.append(
            [
                0.0 if math.isnan(growth) else math.tanh(growth),
                math.log((late + 1.0) / (early + 1.0)),
                past[-1].close / past[max(-11, -len(past))].close - 1.0,
            ]
        )
    return np.array(rows)


def test_the_whole_demo_market_can_be_learnt_from(store: SQLiteStore, full: DemoMarket) -> None:
    # Takes 3 s on one core; the bound leaves room for a slow machine and for coverage's tracing.
    started = time.process_time()
    span = build_demo_market(store, last_day=LAST_DAY, derive=derive_all)
    assert time.process_time() - started < 15.0
    assert span.stocks == 500
    assert span.price_rows > 230_000
    assert span.price_rows == full.companies.rows.sum()

    found = samples(full)
    labels = np.array([sample.label for sample in found])
    assert span.counts["upper_circuit_labels"] == len(found) > 3000
    assert 0.08 < labels.mean() < 0.12
    assert 0.75 < roc_auc_score(labels, [sample.propensity for sample in found]) < 0.9

    quantities = visible_quantities(full, found)
    cut = sorted(sample.announced for sample in found)[len(found) * 7 // 10]
    early = np.array([sample.next_day <= cut for sample in found])
    late = np.array([sample.announced > cut for sample in found])
    model = LogisticRegression().fit(quantities[early], labels[early])
    scores = model.predict_proba(quantities[late])[:, 1]
    assert 0.65 < roc_auc_score(labels[late], scores) < 0.95
