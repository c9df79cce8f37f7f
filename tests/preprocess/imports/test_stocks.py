"""The stock list."""

from pathlib import Path

import pytest

from preprocess.errors import ImportRefusedError
from preprocess.imports.refusal import Refusal, Rule
from preprocess.market.values import Stock
from preprocess.store.sqlite.store import SQLiteStore
from tests.preprocess.imports.builders import bring_in, read_all, text_file

HEADER = "bse_code,nse_symbol,company_name,isin,industry,status"


def test_both_forms_give_the_same_stocks(tmp_path: Path, store: SQLiteStore) -> None:
    own = text_file(
        tmp_path / "own.csv",
        HEADER,
        '000042,ARE&M,"AMARA RAJA, LTD.",INE885A01032,Auto Parts,',
        "500003,,,,,Suspended",
    )
    mapped = text_file(
        tmp_path / "map.csv",
        "bse_code,bse_ticker,name,isin_2020,industry,nse_symbol",
        '000042,AMARAJABAT,"AMARA RAJA, LTD.",INE885A01032,Auto Parts,ARE&M',
        "500003,OTHER,,,,",
    )
    bring_in(store, "stocks", own)
    expected = [
        Stock("000042", "ARE&M", "AMARA RAJA, LTD.", "INE885A01032", "Auto Parts", "active"),
        Stock("500003", status="suspended"),
    ]
    assert store.stocks() == expected
    again = bring_in(store, "stocks", mapped)
    assert (again.tally.unchanged, store.stocks()) == (2, expected)


def test_corrections_are_counted_and_empty_cells_erase_nothing(
    tmp_path: Path, store: SQLiteStore
) -> None:
    text_file(tmp_path / "a.csv", HEADER, "500002,ABB,ABB,,Machines,delisted")
    bring_in(store, "stocks", tmp_path / "a.csv")
    text_file(tmp_path / "b.csv", HEADER, "500002,,ABB India Limited,,,")
    report = bring_in(store, "stocks", tmp_path / "b.csv")
    assert (report.tally.changed, report.stocks_changed) == (1, 1)
    assert store.stocks() == [
        Stock("500002", "ABB", "ABB India Limited", None, "Machines", "delisted")
    ]


def test_bad_rows_are_refused(tmp_path: Path) -> None:
    path = text_file(
        tmp_path / "s.csv",
        HEADER,
        "50000,A,A,,,",
        "500002,A,A,INE117A0102,,",
        "500002,A,A,,,",
        "500002,B,B,,,",
        "500003,A,A,,",
    )
    items = read_all("stocks", path)
    assert [(item.line, item.rule) for item in items if isinstance(item, Refusal)] == [
        (2, Rule.CODE),
        (3, Rule.ISIN),
        (5, Rule.DUPLICATE),
        (6, Rule.COLUMN_COUNT),
    ]


@pytest.mark.parametrize("header", ["bse_code", "bse_code,date,open", "nse_symbol,name"])
def test_a_file_that_is_no_stock_list_is_refused_whole(tmp_path: Path, header: str) -> None:
    with pytest.raises(ImportRefusedError, match="bse_code"):
        read_all("stocks", text_file(tmp_path / "s.csv", header))
