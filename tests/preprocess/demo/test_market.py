"""The demo market: plainly made up, possible, the same for the same seed, and learnable."""

import hashlib
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from preprocess.demo.companies import SHARE_EVENTS, draw_companies
from preprocess.demo.market import DemoMarket, build_demo_market, draw_market
from preprocess.errors import StoreError
from preprocess.features.derive import refresh_derived
from preprocess.features.row import MINIMUM_ROWS
from preprocess.market.calendar import announcement_limit
from preprocess.market.values import Floats, Span, Target, is_bse_code
from preprocess.store import Writer
from preprocess.store.sqlite.store import SQLiteStore
from preprocess.training.dataset import build_dataset
from preprocess.training.learner import Parameters, fit
from preprocess.training.split import split_by_time
from tests.builders import bars

LAST_DAY = date(2026, 8, 14)
STOCKS, TRADING_DAYS = 60, 200


@pytest.fixture(scope="module")
def full() -> DemoMarket:
    """The market that `tezi demo` makes."""
    return draw_market(last_day=LAST_DAY)


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
    span = build(store, seed=5, progress=lambda done, total: told.append((done, total)))
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
        assert written[0].prev_close is None
        assert [bar.prev_close for bar in written[1:]] == [bar.close for bar in written[:-1]]
        assert all(bar.day.weekday() < 5 for bar in written)
        assert list(history.actions) == market.actions(company)
        assert repr(list(history.results)) == repr(market.filings.results(company))


def test_a_store_with_a_single_stock_is_refused_and_left_alone(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars("500325", [1.0]))
    before = digest(store.path)
    with pytest.raises(StoreError, match=r"1 stocks.*TEZI_DATABASE_URL.*TEZI_DATA_DIR"):
        build(store)
    assert digest(store.path) == before


def test_an_error_half_way_leaves_the_store_empty(store: SQLiteStore) -> None:
    def fail(writer: Writer) -> None:
        assert writer.span().price_rows > 0
        raise KeyboardInterrupt

    empty = digest(store.path)
    with pytest.raises(KeyboardInterrupt):
        build(store, derive=fail)
    assert digest(store.path) == empty
    assert build(store).stocks == 60


@pytest.mark.parametrize(("stocks", "trading_days"), [(0, 200), (100_000, 200), (10, 59)])
def test_sizes_out_of_range_are_refused(stocks: int, trading_days: int) -> None:
    with pytest.raises(ValueError, match="demo market"):
        draw_market(last_day=LAST_DAY, stocks=stocks, trading_days=trading_days)


def test_the_shortest_market_has_room_for_every_kind() -> None:
    companies = draw_companies(np.random.default_rng(0), 200, 60)
    assert (companies.rows.sum(axis=1) >= 5).all()
    assert draw_market(last_day=LAST_DAY, stocks=1, trading_days=60).bars(0)


def test_names_are_plainly_made_up(full: DemoMarket) -> None:
    stocks = [full.stock(company) for company in range(len(full.companies))]
    for number, stock in enumerate(stocks, start=1):
        assert stock.bse_code == str(900000 + number)
        assert is_bse_code(stock.bse_code)
        assert stock.nse_symbol == f"DEMO{number:03d}"
        assert re.fullmatch(r"DEMO[0-9]{8}", stock.isin or "")
        assert stock.company_name == f"Demo {stock.industry} {number:03d}"


def test_companies_are_of_every_kind_that_real_data_has(full: DemoMarket) -> None:
    companies = full.companies
    traded = companies.rows.sum(axis=1)
    gaps = [int(np.diff(np.flatnonzero(rows)).max()) - 1 for rows in companies.rows]
    assert sum(10 <= gap <= 40 for gap in gaps) == sum(gap > 0 for gap in gaps) == 40
    assert (traded < MINIMUM_ROWS).sum() == 10
    assert (~companies.rows[:, 0]).sum() == 30
    assert (~companies.rows[:, -1] == companies.suspended).all()
    assert companies.suspended.sum() == 10
    assert full.stock(int(companies.suspended.argmax())).status == "suspended"
    assert (full.prices.volume[companies.thin] == 0).any()
    assert set(companies.band.tolist()) == {0.05, 0.10, 0.20}
    assert {full.actions(n)[0].kind for n in np.flatnonzero(companies.event_day >= 0)} == {
        kind for kind, _, _ in SHARE_EVENTS
    }


def references(market: DemoMarket) -> Floats:
    """The close before each bar, on that day's share count; NaN on a stock's first day."""
    found = np.full(market.companies.rows.shape, np.nan)
    ratios = market.companies.ratios
    for company, rows in enumerate(market.companies.rows):
        live = np.flatnonzero(rows)
        # A split may fall into a gap: its ratio then counts on the next bar.
        grown = np.cumprod(ratios[company])
        before = market.prices.close[company, live[:-1]]
        found[company, live[1:]] = before / (grown[live[1:]] / grown[live[:-1]])
    return found


def test_bars_are_what_an_exchange_would_allow(full: DemoMarket) -> None:
    prices, live = full.prices, full.companies.rows
    reference = references(full)
    for column in (prices.open, prices.high, prices.low, prices.close):
        assert (column[live] > 0.0).all()
        paise = np.rint(column * 100.0)
        assert (column == paise / 100.0)[live].all()
        assert (paise[reference >= 250.0] % 5 == 0).all()
    assert (prices.high >= np.maximum(prices.open, prices.close))[live].all()
    assert (prices.low <= np.minimum(prices.open, prices.close))[live].all()
    band = full.companies.band[:, None]
    known = live & ~np.isnan(reference)
    assert (prices.high <= reference * (1.0 + band) + 1e-6)[known].all()
    assert (prices.low >= reference * (1.0 - band) - 1e-6)[known].all()
    locked = (prices.close == prices.high) & (prices.close / reference - 1.0 > band * 0.985)
    assert locked[known].sum() > 100
    assert full.prices.volume.min() >= 0


def test_results_are_announced_within_the_regulators_limit(full: DemoMarket) -> None:
    unknown = missing = 0
    for company in range(len(full.companies)):
        for result in full.filings.results(company):
            missing += np.isnan(result.eps)
            unknown += result.announced_on is None
            if result.announced_on is not None:
                earliest = result.period_end + timedelta(days=15)
                latest = announcement_limit(result.quarter, result.period_end)
                assert earliest <= result.announced_on <= min(latest, LAST_DAY)
    assert unknown > 0 < missing


def test_a_model_finds_the_signal(store: SQLiteStore) -> None:
    span = build_demo_market(store, last_day=LAST_DAY, derive=derive_all)
    assert (span.stocks, span.counts["upper_circuit_labels"] > 3000) == (500, True)
    shares: dict[Target, tuple[float, float]] = {
        "up_5pct": (0.08, 0.13),
        "upper_circuit": (0.02, 0.08),
    }
    for target, (least, most) in shares.items():
        dataset = build_dataset(store, circuit_pct=5.0, target=target)
        assert least < dataset.y.mean() < most
        split = split_by_time(dataset)
        native = fit(Parameters(trees=60, depth=4), split.train.x, split.train.y).native
        assert 0.7 < roc_auc_score(split.test.y, native.probabilities(split.test.x)) < 0.95
