"""Price files: good rows become bars, each bad one is refused with its reason."""

import csv
import gzip
from datetime import date
from itertools import islice
from pathlib import Path

import pytest

from preprocess.imports.refusal import Refusal, Rule
from preprocess.market.calendar import day_number
from preprocess.market.values import Bar
from preprocess.store.sqlite.store import SQLiteStore
from tests.preprocess.imports.builders import bring_in, price_file, read_all, text_file

GOOD = "500002,2024-01-02,10,12,9,11,703"


def test_a_row_becomes_a_bar(tmp_path: Path) -> None:
    path = price_file(tmp_path / "p.csv", "000042,2024-01-02,10,12.5,9,11,703.0")
    bar = Bar("000042", date(2024, 1, 2), 10.0, 12.5, 9.0, 11.0, 703)
    assert read_all("prices", path) == [bar]


def test_columns_may_stand_in_any_order_among_others(tmp_path: Path) -> None:
    path = text_file(
        tmp_path / "p.csv",
        "symbol,volume,close,low,high,open,date,prev_close,bse_code",
        "ABB,5,11,9,12,10,2024-01-02,8.5,500002",
        "ABB,5,11,9,12,10,2024-01-03,,500002",
    )
    first, second = read_all("prices", path, adjusted=True)
    assert first == Bar("500002", date(2024, 1, 2), 10, 12, 9, 11, 5, 8.5, adjusted=True)
    assert isinstance(second, Bar)
    assert second.prev_close is None


@pytest.mark.parametrize(
    ("row", "rule", "detail"),
    [
        ("42,2024-01-02,10,12,9,11,703", Rule.CODE, "'42'"),
        ("500002,02-01-24,10,12,9,11,703", Rule.DATE, "'02-01-24'"),
        ("500002,2024-01-02,0.00,12,9,11,703", Rule.PRICE, "open is '0.00'"),
        ("500002,2024-01-02,10,10.5,9,11,703", Rule.RANGE, "high 10.5, low 9.0, close 11.0"),
        ("500002,2024-01-02,13,12,9,11,703", Rule.RANGE, "open 13.0"),
        ("500002,2024-01-02,10,12,11.5,11,703", Rule.RANGE, "low 11.5"),
        ("500002,2024-01-02,8,12,9,11,703", Rule.RANGE, "open 8.0"),
        ("500002,2024-01-02,10,12,9,11,1.5", Rule.VOLUME, "'1.5'"),
    ],
)
def test_a_bad_row_is_refused_and_the_rest_goes_in(
    tmp_path: Path, row: str, rule: Rule, detail: str
) -> None:
    path = price_file(tmp_path / "p.csv", row, GOOD)
    refusal, bar = read_all("prices", path)
    assert isinstance(refusal, Refusal)
    assert (refusal.file, refusal.line, refusal.rule) == (str(path), 2, rule)
    assert detail in refusal.detail
    assert isinstance(bar, Bar)


@pytest.mark.market_data
@pytest.mark.parametrize("name", ["prices_nse.csv.gz", "prices.csv.gz"])
def test_real_prices_are_stored_as_they_stand(
    tmp_path: Path, store: SQLiteStore, market_data: Path, name: str
) -> None:
    adjusted = name == "prices.csv.gz"
    part = tmp_path / "part.csv"
    with gzip.open(market_data / name, "rt", encoding="utf-8") as real:
        part.write_text("".join(islice(real, 15_001)), encoding="utf-8")
    report = bring_in(store, "prices", part, adjusted=adjusted)
    assert (report.rows, report.tally.added, report.refused) == (15_000, 15_000, 0)
    expected: dict[str, list[dict[str, str]]] = {}
    with part.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            expected.setdefault(row["bse_code"], []).append(row)
    assert store.bse_codes() == sorted(expected)
    for code, rows in expected.items():
        history = store.history(code)
        assert history is not None
        prices = history.prices
        days = [day_number(date.fromisoformat(row["date"])) for row in rows]
        assert prices.days.tolist() == days
        for column in ("open", "high", "low", "close", "volume"):
            assert getattr(prices, column).tolist() == [float(row[column]) for row in rows]
        assert bool(prices.adjusted.all()) is adjusted
