"""Ratios from the exchange's words, checked against prices."""

import csv
import gzip
import math
from datetime import date
from pathlib import Path

import pytest

from preprocess.imports.actions import ActionImporter
from preprocess.imports.subjects import bonus_ratio, is_of_other_securities, mentions, split_ratio
from tests.preprocess.imports.builders import TODAY, read_all


@pytest.mark.parametrize(
    ("subject", "ratio"),
    [
        ("Bonus 1:1", 2.0),
        ("Bonus 1 : 1250", 1251 / 1250),
        ("Bonus- 1:2", 1.5),
        ("Bonus  1:4", 1.25),
        ("Bonus 4:10", 1.4),
        ("BONUS ISSUE 3:1", 4.0),
        ("Bonus Issue Of Equity Shares In The Ratio Of 2:5", 1.4),
        ("Bonus 1 For 3", 4 / 3),
        ("Annual General Meeting/Dividend - Rs 2.50 Per Share/Bonus 1:10 (Revised)", 1.1),
        ("Annual General Meeting/ Dividend - Rs 29.50/- Per Share And Bonus 1:1", 2.0),
        ("Bonus 1:2/ Dividend - Rs 1.10 Per Share", 1.5),
        ("Bonus 1:1 And Dividend On Preference Shares", 2.0),
        ("Bonus 0:1", None),
        ("Bonus 1:0", None),
        ("Bonus", None),
        ("Scheme Of Arrangement - Bonus Debentures 1:1", None),
        ("Bonus Ncrps 1:116", None),
        ("Bonus 1:116 Ncrps", None),
        ("Rights 1:2 @ Premium Rs 41/-", None),
    ],
)
def test_bonuses(subject: str, ratio: float | None) -> None:
    assert bonus_ratio(subject) == ratio


@pytest.mark.parametrize(
    ("subject", "ratio"),
    [
        ("Face Value Split (Sub-Division) - From Rs 10/- Per Share To Rs 2/- Per Share", 5.0),
        ("Face Value Split (Sub-Division): From Rs 10/- Per Share To Re 1/- Per Share", 10.0),
        ("Face Valus Split (Sub-Division) - From Rs10/- Per Share To Re 2.50/- Per Share", 4.0),
        ("Face Value Split Rs 10 To Rs 1", 10.0),
        ("Face Value Split From Rs. 5 Per Equity Share To Rs. 2 Per Equity Share", 2.5),
        (
            "Interim Div - Rs 6/- Per Share + Face Value Split - From Rs 10/- Per Share To Re 1/-",
            10.0,
        ),
        ("Consolidation Of Shares - From Re 1/- Per Share To Rs 10/- Per Share", 0.1),
        ("Face Value Split From Rs 10 To Rs 10", None),
        ("Face Value Split From Rs 0 To Rs 10", None),
        ("Face Value Split", None),
        ("Dividend Rs 10/- Per Share", None),
    ],
)
def test_splits(subject: str, ratio: float | None) -> None:
    assert split_ratio(subject) == ratio


@pytest.mark.parametrize(
    ("subject", "other"),
    [
        ("Scheme Of Arrangement - Bonus Debentures 1:1", True),
        ("Scheme Of Arangement- Bonus - 1 Debenture For 1 Equity Share Held", True),
        ("Bonus Ncrps 1:116", True),
        ("Bonus 1:116 Ncrps", True),
        ("Bonus 4:1 Redeemable Preference Shares", True),
        ("Bonus 1:1", False),
        ("Bonus 1:1 And Dividend On Preference Shares", False),
        ("Rights 1:2 / Warrants", False),
    ],
)
def test_a_bonus_of_other_securities_is_recognised(subject: str, other: bool) -> None:
    assert is_of_other_securities(subject) is other


def test_what_a_subject_mentions() -> None:
    assert mentions("bonus", "Bonus")
    assert mentions("split", "Face Value Split")
    assert not mentions("split", "Demerger: split of the cement business")


@pytest.mark.market_data
def test_every_real_subject_is_read_and_agrees_with_the_prices(market_data: Path) -> None:
    """On the ex-date the price falls by the ratio: within a third, for 3.5 years of NSE prices."""
    rows = read_all(ActionImporter(TODAY), market_data / "corporate_actions.csv.gz")
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
