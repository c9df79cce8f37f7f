"""Ratios from the exchange's words, checked against prices."""

import csv
import gzip
import math
from datetime import date
from pathlib import Path

import pytest

from preprocess.imports.subjects import UnreadableError, actions_in
from tests.preprocess.imports.builders import read_all

SAMPLES = Path(__file__).parent / "samples"
SPLIT = "Face Value Split (Sub-Division)"


def _read(subject: str) -> dict[str, float | None] | str:
    """The actions of a subject, or the kind that makes it unreadable."""
    try:
        return actions_in(subject)
    except UnreadableError as error:
        return error.kind


def test_every_subject_of_the_list_is_right_or_refused() -> None:
    with (SAMPLES / "subjects.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            wanted = {
                kind: float(row[f"{kind}_ratio"])
                for kind in ("bonus", "split")
                if row[f"{kind}_ratio"]
            }
            read = _read(row["subject"])
            if row["subject"] == "Consolidation of Shares":
                assert read == "split"
            else:
                assert isinstance(read, dict), row
                assert {kind: ratio for kind, ratio in read.items() if ratio} == wanted, row


@pytest.mark.parametrize(
    ("subject", "actions"),
    [
        ("Bonus 1 : 1250", {"bonus": 1 + 1 / 1250}),
        ("Bonus Issue Of Equity Shares In The Ratio Of 2:5", {"bonus": 1.4}),
        ("Bonus 1 For 3", {"bonus": 1 + 1 / 3}),
        ("1:1 Bonus Issue", {"bonus": 2.0}),
        ("1 Bonus Share For Every 2 Held", {"bonus": 1.5}),
        ("AGM/Dividend - Rs 2.50 Per Share/Bonus 1:10 (Revised)", {"bonus": 1.1}),
        ("Spl. Dividend 20%/Bonus 1:1", {"bonus": 2.0}),
        ("Bonus 1:1 wef 12-Aug-2024", {"bonus": 2.0}),
        ("Bonus 1:1 And Dividend On Preference Shares", {"bonus": 2.0}),
        ("Bonus Issue 1:1 And Bonus Debentures 1:1", {"bonus": 2.0}),
        ("Bonus 1:1 / Rights 1:5 @ Rs 10", {"bonus": 2.0, "rights": None}),
        ("Bonus Ncrps 1:116", {"bonus": None}),
        ("Bonus 4:1 Redeemable Preference Shares", {"bonus": None}),
        ("Sch Of Arangement- Bonus - 1 Debenture For 1 Equity Share Held", {"bonus": None}),
        (f"{SPLIT} - From Rs 10/- Per Share To Rs 2/- Per Share", {"split": 5.0}),
        ("Face Valus Split: From Rs10/- Per Share To Re 2.50/- Per Share", {"split": 4.0}),
        ("Interim Div - Rs 6/- Per Share + Fv Split From Rs 10 To Re 1/-", {"split": 10.0}),
        ("Sub-division of 1 share of Rs 10 into 10 shares of Re 1 each", {"split": 10.0}),
        ("FVSPLT RS.10 TO RS.5", {"split": 2.0}),
        ("Face Value Split From Rs.1,000 To Rs.100", {"split": 10.0}),
        ("Demerger / Fv Split Rs 10 To Rs 2", {"demerger": None, "split": 5.0}),
        ("Demerger: split of the cement business", {"demerger": None}),
        ("Scheme Of Arrangement", {"demerger": None}),
        ("SPL DIV-20%", {}),
        ("SPL-DIV 20%", {}),
        ("Interim Dividend Rs 2 For 2023-24", {}),
        ("Amalgamation 3:10", {}),
        ("Bonus 1:1 / Amalgamation 3:10", {"bonus": 2.0}),
        ("Dividend Rs 10/- Per Share", {}),
        ("Warrants 1:20", {}),
        ("Bonus 0:1", "bonus"),
        ("Bonus", "bonus"),
        ("Bonus 1:1/2:1", "bonus"),
        ("Bonus 2:1 (Dvr 2:1)", "bonus"),
        ("Bonus 1 existing : 2 new", "bonus"),
        ("Rights 1:1 And Bonus", "bonus"),
        ("Bnus 1:1", "bonus"),
        ("Bonus 1:1 Cancelled", "bonus"),
        ("Split Rs 10 To Rs 2 (Withdrawn)", "split"),
        ("AGM/DIV-50%/BNUS 1:1", "bonus"),
        ("AGM/DIV-50%/SPILT 10 TO 2", "split"),
        ("Stock Spilt 10 To 2", "split"),
        ("SPLT", "split"),
        ("SUB DVSN", "split"),
        ("Stock Split 1:5", "split"),
        ("Face Value Split From Rs 10 To Rs 10", "split"),
        ("Face Value Split From Rs 0 To Rs 10", "split"),
        ("Split From Re 1 To 50 Paise", "split"),
        ("Face Value Split From Rs 1 To Rs .50", "split"),
        ("AGM/Change In Face Value From Rs.10 To Rs.1", "split"),
    ],
)
def test_other_wordings(subject: str, actions: dict[str, float | None] | str) -> None:
    assert _read(subject) == actions


@pytest.mark.market_data
def test_every_real_subject_is_read_and_agrees_with_the_prices(market_data: Path) -> None:
    """On the ex-date the price falls by the ratio: within a third, for 3.5 years of NSE prices."""
    rows = read_all("actions", market_data / "corporate_actions.csv.gz")
    ratios: dict[tuple[str, str], float] = {}
    unread = 0
    for row in rows:
        assert isinstance(row, list), row
        for code, action in row:
            if action.kind in ("bonus", "split"):
                unread += action.ratio is None
                key = (code, action.ex_date.isoformat())
                ratios[key] = ratios.get(key, 1.0) * (action.ratio or 1.0)
    assert len(rows) == 528
    assert unread == 4  # debentures of NTPC and Britannia (twice), preference shares of TVSHLTD
    checked = 0
    close: dict[str, float] = {}
    codes = {code for code, day in ratios if day > date(2023, 4, 3).isoformat()}
    with gzip.open(market_data / "prices_nse.csv.gz", "rt", encoding="utf-8") as lines:
        for code, day, opening, _, _, closing, *_ in csv.reader(lines):
            if code not in codes:
                continue
            if code in close and (code, day) in ratios:
                fall = close[code] / float(opening)
                assert math.isclose(fall, ratios[code, day], rel_tol=1 / 3), (code, day)
                checked += 1
            close[code] = float(closing)
    assert checked > 100
