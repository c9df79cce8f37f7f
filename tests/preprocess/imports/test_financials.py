"""Quarterly results from files of three forms."""

import csv
import gzip
import math
from datetime import date
from pathlib import Path

import pytest

from preprocess.errors import ImportRefusedError
from preprocess.imports.refusal import Refusal, Rule
from preprocess.market.calendar import FiscalQuarter
from preprocess.market.values import QuarterResult, Stock
from preprocess.store.sqlite.store import SQLiteStore
from tests.preprocess.imports.builders import TODAY, bring_in, read_all, text_file

OWN = (
    "bse_code,fiscal_year,quarter,period_end,announced_on,revenue_cr,pat_cr,operating_profit_cr,eps"
)
FIRST = QuarterResult(
    FiscalQuarter(2025, 3), date(2024, 12, 31), date(2025, 2, 1), 10.5, -2.0, 3.0, -1.25, TODAY
)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (OWN, "500002,2025,Q3,2024-12-31,2025-02-01,10.5,-2,3,-1.25"),
        (OWN, "500002,FY2025,3,2024-12-31,2025-02-01,10.5,-2,3,-1.25"),
        (
            "bse_code,quarter,fiscal_year,period_end,revenue_cr,pat_cr,eps_rs,npm_pct,"
            "operating_profit_cr,announce_date_proxy",
            "500002,Q3,2025,2024-12-31,10.5,-2,-1.25,,3,2025-02-01",
        ),
        (
            "label,bse_code,period_end,revenue_cr,operating_profit_cr,pat_cr,eps_rs,announced_on",
            "Q3FY25,500002,2024-12-31,10.5,3,-2,-1.25,2025-02-01",
        ),
    ],
    ids=["own", "own, other spelling", "with a proxy date", "with a label"],
)
def test_every_form_gives_the_same_result(tmp_path: Path, header: str, row: str) -> None:
    path = text_file(tmp_path / "f.csv", header, row)
    assert read_all("financials", path) == [("500002", FIRST)]


def test_empty_cells_are_missing_and_rows_without_anything_are_left_out(tmp_path: Path) -> None:
    path = text_file(
        tmp_path / "f.csv",
        OWN,
        "500002,2025,Q3,2024-12-31,,10.5,,,",
        "500002,2025,Q2,2024-09-30,,,,,",
        "500002,2025,Q1,2024-06-30,2024-07-20,,,,",
    )
    holed, nothing, announced = read_all("financials", path)
    assert isinstance(holed, tuple)
    assert holed[1].announced_on is None
    assert (holed[1].revenue_cr, math.isnan(holed[1].eps)) == (10.5, True)
    assert nothing is None
    assert isinstance(announced, tuple)
    assert announced[1].announced_on == date(2024, 7, 20)


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("5002,2025,Q3,2024-12-31,,1,1,1,1", Rule.CODE),
        ("500002,25,Q3,2024-12-31,,1,1,1,1", Rule.QUARTER),
        ("500002,2025,Q5,2024-12-31,,1,1,1,1", Rule.QUARTER),
        ("500002,2025,Q3,2024-12-30,,1,1,1,1", Rule.PERIOD),
        ("500002,2024,Q3,2024-12-31,,1,1,1,1", Rule.PERIOD),
        ("500002,2025,Q3,31-12-24,,1,1,1,1", Rule.DATE),
        ("500002,2027,Q2,2026-09-30,,1,1,1,1", Rule.FUTURE),
        ("500002,2025,Q3,2024-12-31,2024-12-31,1,1,1,1", Rule.PERIOD),
        ("500002,2025,Q3,2024-12-31,2026-08-23,1,1,1,1", Rule.FUTURE),
        ("500002,2025,Q3,2024-12-31,soon,1,1,1,1", Rule.DATE),
        ("500002,2025,Q3,2024-12-31,,1,inf,1,1", Rule.NUMBER),
        ("500002,2025,Q3,2024-12-31,,1,1,1,?", Rule.NUMBER),
    ],
)
def test_a_bad_row_is_refused_and_its_key_is_still_free(
    tmp_path: Path, row: str, rule: Rule
) -> None:
    good = "500002,2025,Q3,2024-12-31,2025-02-01,10.5,-2,3,-1.25"
    path = text_file(tmp_path / "f.csv", OWN, row, good, good)
    refusal, result, again = read_all("financials", path)
    assert isinstance(refusal, Refusal)
    assert (refusal.line, refusal.rule) == (2, rule)
    assert result == ("500002", FIRST)
    assert isinstance(again, Refusal)
    assert (again.line, again.rule) == (4, Rule.DUPLICATE)


def test_both_states_of_a_restated_quarter_come_in_one_file(
    tmp_path: Path, store: SQLiteStore
) -> None:
    first = "500002,2025,Q3,2024-12-31,2025-02-01,10.5,-2,3,-1.25"
    restated = "500002,2025,Q3,2024-12-31,2025-05-01,10.5,-3,3,-1.5"
    with store.transaction() as writer:
        writer.put_stocks([Stock("500002")])
    for rows in ([first, restated], [restated, first]):
        assert bring_in(store, "financials", text_file(tmp_path / "f.csv", OWN, *rows)).complete
    found = store.history("500002")
    assert found is not None
    states = [(state.announced_on, state.pat_cr) for state in found.results]
    assert states == [(date(2025, 2, 1), -2.0), (date(2025, 5, 1), -3.0)]


def test_a_wrong_label_is_refused(tmp_path: Path) -> None:
    header = OWN.replace("fiscal_year,quarter", "label")
    path = text_file(tmp_path / "f.csv", header, "500002,Q3-25,2024-12-31,,1,1,1,1")
    [refusal] = read_all("financials", path)
    assert isinstance(refusal, Refusal)
    assert refusal.rule is Rule.QUARTER


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        (OWN.replace("eps", "earnings"), "eps"),
        (OWN.replace("bse_code", "company"), "bse_code"),
        (OWN.replace("_cr", ""), "--unit"),
    ],
)
def test_a_wrong_header_is_refused_whole(tmp_path: Path, header: str, missing: str) -> None:
    with pytest.raises(ImportRefusedError, match=missing):
        read_all("financials", text_file(tmp_path / "f.csv", header))


@pytest.mark.market_data
def test_real_results_go_in_from_both_sources(store: SQLiteStore, market_data: Path) -> None:
    first, second = market_data / "financials.csv.gz", market_data / "financials_yahoo.csv.gz"
    with store.transaction() as writer:
        writer.put_stocks([Stock("500002")])
    report = bring_in(store, "financials", first)
    assert (report.rows, report.tally.added, report.refused) == (9_792, 9_792, 0)
    with gzip.open(first, "rt", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["bse_code"] == "500002"]
    stored = _results(store, "500002")
    assert len(stored) == len(rows)
    for row in rows:
        kept = stored[FiscalQuarter(int(row["fiscal_year"]), int(row["quarter"][1]))]
        assert kept.period_end.isoformat() == row["period_end"]
        assert (kept.announced_on.isoformat() if kept.announced_on else "") == (
            row["announce_date_proxy"]
        )
        assert (kept.revenue_cr, kept.eps) == (float(row["revenue_cr"]), float(row["eps_rs"]))
    sequence = store.mark().sequence
    again = bring_in(store, "financials", first)
    assert (again.tally.unchanged, again.complete, store.mark().sequence) == (9_792, True, sequence)
    other = bring_in(store, "financials", second)
    assert (other.rows, other.left_out, other.refused) == (2_078, 124, 0)
    announced = {quarter: kept.announced_on for quarter, kept in stored.items()}
    later = _results(store, "500002")
    assert all(later[quarter].announced_on == day for quarter, day in announced.items())
    assert later[FiscalQuarter(2025, 3)].revenue_cr == 3326.88


def _results(store: SQLiteStore, code: str) -> dict[FiscalQuarter, QuarterResult]:
    history = store.history(code)
    assert history is not None
    return {result.quarter: result for result in history.results}
