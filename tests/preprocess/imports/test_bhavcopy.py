"""Bhavcopies: the exchange's own daily files."""

import csv
import io
import tarfile
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from preprocess.errors import ImportRefusedError
from preprocess.imports.refusal import Refusal, Rule
from preprocess.market.calendar import day_number
from preprocess.market.values import Bar, Stock
from preprocess.store.sqlite.store import SQLiteStore
from tests.preprocess.imports.builders import (
    BHAVCOPY_HEADER,
    bring_in,
    read_all,
    tar_file,
    text_file,
)

ABB = (
    "500002,ABB LTD.    ,A ,Q,1299.30,1313.65,1282.25,1285.30,1286.90,1289.75,1002,7683,9938167.00,"
)
BOND = "800106,GSEC 2016   ,G ,B,100,100,100,100,100,100,1,10,1000.00,"
DEBT = "935016,FRATNG 2016 ,F ,D,100,100,100,100,100,100,1,10,1000.00,"
NEW = "538926,NAPL        ,DT,Q,12.50,13.12,12.50,13.12,13.12,0.00,6,250,3218.00,"
CLOSED_HIGH = "536672,VCU DATA    ,M ,Q,27.50,27.50,27.50,28.10,27.50,28.10,1,2000,55000.00,"
NO_OPEN = "511736,USHDEV INTNL,B ,Q,0.00,312.00,312.00,312.00,312.00,312.00,2,165000,51480000.00,"


def _file(path: Path, *rows: str) -> Path:
    return text_file(path, BHAVCOPY_HEADER, *rows)


@pytest.mark.parametrize("name", ["EQ050115.CSV", "eq050115_csv.csv", "EQ050115 (1).CSV"])
def test_equities_become_bars_of_the_day_in_the_name(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path / name, ABB, BOND, DEBT, NEW)
    day = date(2015, 1, 5)
    assert read_all("bhavcopy", path) == [
        Bar("500002", day, 1299.3, 1313.65, 1282.25, 1285.3, 7683, 1289.75),
        None,
        None,
        Bar("538926", day, 12.5, 13.12, 12.5, 13.12, 250, None),
    ]


def test_days_without_an_open_or_with_a_close_out_of_range_are_refused(tmp_path: Path) -> None:
    path = _file(tmp_path / "EQ050115.CSV", NO_OPEN, CLOSED_HIGH, ABB, ABB)
    items = read_all("bhavcopy", path)
    assert [(item.line, item.rule) for item in items if isinstance(item, Refusal)] == [
        (2, Rule.PRICE),
        (3, Rule.RANGE),
        (5, Rule.DUPLICATE),
    ]


@pytest.mark.parametrize("name", ["EQ310215.CSV", "EQ50115.CSV", "EQ05011500.CSV", "prices.csv"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImportRefusedError, match="EQddmmyy"):
        read_all("bhavcopy", _file(tmp_path / name, ABB))


def test_a_day_to_come_and_a_wrong_header_are_refused_whole(tmp_path: Path) -> None:
    with pytest.raises(ImportRefusedError, match="2026-08-23"):
        read_all("bhavcopy", _file(tmp_path / "EQ230826.CSV", ABB))
    wrong = text_file(tmp_path / "EQ050115.CSV", "bse_code,date")
    with pytest.raises(ImportRefusedError, match="no known kind"):
        read_all("bhavcopy", wrong)


def test_names_are_filled_in_and_never_replaced(tmp_path: Path, store: SQLiteStore) -> None:
    known = Stock("500002", "ABB", "ABB India Limited", None, None, "suspended")
    nameless = Stock("538926", "NAPL", None, None, None, "suspended")
    with store.transaction() as writer:
        writer.put_stocks([known, nameless])
    _file(tmp_path / "EQ050115.CSV", ABB, NEW, ABB.replace("500002,ABB LTD.", "500003,OTHER  "))
    _file(tmp_path / "EQ060115.CSV", ABB.replace("500002,ABB LTD.", "500003,RENAMED"))
    bring_in(store, "bhavcopy", tmp_path)
    assert store.stocks() == [
        replace(known, price_exchange="BSE"),
        Stock("500003", company_name="OTHER", price_exchange="BSE"),
        Stock("538926", "NAPL", "NAPL", None, None, "suspended", "BSE"),
    ]


def test_a_refused_member_leaves_the_others(tmp_path: Path, store: SQLiteStore) -> None:
    good = f"{BHAVCOPY_HEADER}\r\n{ABB}\r\n".encode()
    path = tar_file(tmp_path / "a.tar.gz", {"EQ050115.CSV": good, "x.csv": good})
    report = bring_in(store, "bhavcopy", path)
    assert (report.files, report.tally.added, report.refused_files) == (1, 1, 1)
    assert report.first_refused_files[0].file == f"{path}: x.csv"
    assert not report.complete


@pytest.mark.market_data
def test_the_45_real_files_go_in(store: SQLiteStore, market_data: Path) -> None:
    path = market_data / "bse_bhavcopy_2015_raw.tar.gz"
    report = bring_in(store, "bhavcopy", path)
    assert report.complete
    assert report.refused_by_rule == Counter({Rule.PRICE: 4, Rule.RANGE: 1})
    assert [
        (item.file[-12:], item.line) for item in report.first_refused if item.rule is Rule.RANGE
    ] == [("EQ200315.CSV", 2804)]
    closes: dict[str, list[tuple[int, float]]] = {}
    others = rows = 0
    with tarfile.open(path) as archive:
        for entry in archive:
            stream = archive.extractfile(entry)
            assert stream is not None
            day = date(2015, int(entry.name[4:6]), int(entry.name[2:4]))
            for row in csv.DictReader(io.StringIO(stream.read().decode())):
                rows += 1
                if row["SC_TYPE"] != "Q":
                    others += 1
                elif float(row["OPEN"]) and float(row["HIGH"]) >= float(row["CLOSE"]):
                    closes.setdefault(row["SC_CODE"], []).append(
                        (day_number(day), float(row["CLOSE"]))
                    )
    assert (report.files, report.rows, report.left_out) == (45, rows, others)
    assert report.tally.added == sum(map(len, closes.values())) == rows - others - 5
    for code in list(closes)[::50]:
        history = store.history(code)
        assert history is not None
        assert list(zip(history.prices.days, history.prices.close, strict=True)) == sorted(
            closes[code]
        )
    names = {stock.bse_code: stock.company_name for stock in store.stocks()}
    assert set(names) == set(closes)
    assert names["500325"] == "RELIANCE"
