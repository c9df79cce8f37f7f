"""Corporate actions from a file."""

from datetime import date
from pathlib import Path

import pytest

from preprocess.imports.actions import StockAction
from preprocess.imports.refusal import Refusal, Rule
from preprocess.market.values import CorporateAction
from tests.preprocess.imports.builders import read_all, text_file

HEADER = "bse_code,symbol,ex_date,kind,subject,face_value,isin"
STATED = "bse_code,ex_date,kind,ratio,subject"
SPLIT_WORDS = "Face Value Split From Rs 10/- Per Share To Rs 2/- Per Share"
BOTH = f"Bonus 1:1 / {SPLIT_WORDS}"
DAY = date(2024, 1, 2)

Row = list[StockAction] | Refusal | None


def _row(kind: str, subject: str, day: str = "2024-01-02") -> str:
    return f"500002,ABB,{day},{kind},{subject},2,INE117A01022"


def _read(tmp_path: Path, *rows: str, header: str = HEADER) -> list[Row]:
    return read_all("actions", text_file(tmp_path / "a.csv", header, *rows))


def _actions(*parts: tuple[str, float | None, str]) -> list[tuple[str, CorporateAction]]:
    return [("500002", CorporateAction(DAY, kind, ratio, text)) for kind, ratio, text in parts]


@pytest.mark.parametrize(
    ("kind", "subject", "ratio"),
    [
        ("Bonus", "Bonus 1:2", 1.5),
        ("split", SPLIT_WORDS, 5.0),
        ("bonus", "Bonus Debentures 1:1", None),
        ("rights", "Rights 1:2 @ Premium Rs 41/-", None),
        ("demerger", "", None),
        ("demerger", "Demerger: split of the cement business", None),
    ],
)
def test_a_row_is_one_action(tmp_path: Path, kind: str, subject: str, ratio: float | None) -> None:
    assert _read(tmp_path, _row(kind, subject)) == [_actions((kind.lower(), ratio, subject))]


@pytest.mark.parametrize("kind", ["bonus", "split"])
def test_a_subject_with_both_is_a_bonus_and_a_split(tmp_path: Path, kind: str) -> None:
    [actions] = _read(tmp_path, _row(kind, BOTH))
    assert isinstance(actions, list)
    expected = _actions(("bonus", 2.0, BOTH), ("split", 5.0, BOTH))
    assert sorted(actions, key=lambda each: each[1].kind) == expected
    assert actions[0][1].kind == kind


def test_a_bonus_next_to_a_demerger_is_read(tmp_path: Path) -> None:
    subject = "Demerger / Bonus 1:1"
    assert _read(tmp_path, _row("demerger", subject)) == [
        _actions(("demerger", None, subject), ("bonus", 2.0, subject))
    ]


@pytest.mark.parametrize(
    ("row", "rule", "detail"),
    [
        (_row("bonus", "Bonus Shares"), Rule.RATIO, "bonus: 'Bonus Shares'"),
        (_row("split", "Sub-Division Of Shares"), Rule.RATIO, "split: 'Sub-Division Of Shares'"),
        (_row("split", "Dividend"), Rule.RATIO, "split: 'Dividend'"),
        (_row("bonus", "Bonus 1:1 / Face Value Split"), Rule.RATIO, "split: 'Bonus 1:1"),
        (_row("rights", "Rights 1:1 And Bonus"), Rule.RATIO, "bonus: 'Rights 1:1"),
        (_row("dividend", "Dividend"), Rule.KIND, "'dividend', not one of bonus, split"),
        (_row("bonus", "Bonus 1:1", "02-01-24"), Rule.DATE, "'02-01-24'"),
        (_row("bonus", "Bonus 1:1", "2027-08-24"), Rule.FUTURE, "2027-08-24"),
        (_row("bonus", "Bonus 1:1").replace("500002", "ABB"), Rule.CODE, "'ABB'"),
    ],
)
def test_a_bad_row_is_refused_with_its_words(
    tmp_path: Path, row: str, rule: Rule, detail: str
) -> None:
    refusal, good = _read(tmp_path, row, _row("bonus", "Bonus 1:1"))
    assert isinstance(refusal, Refusal)
    assert (refusal.line, refusal.rule) == (2, rule)
    assert detail in refusal.detail
    assert isinstance(good, list)


def test_an_ex_date_may_lie_ahead(tmp_path: Path) -> None:
    [actions] = _read(tmp_path, _row("bonus", "Bonus 1:1", "2026-09-30"))
    assert isinstance(actions, list)


def test_the_same_key_twice_is_refused_and_a_repeated_notice_is_not(tmp_path: Path) -> None:
    items = _read(
        tmp_path,
        _row("bonus", BOTH),
        _row("split", BOTH),  # the notice again, listed under its other kind
        _row("bonus", "Bonus 1:2"),
        _row("split", SPLIT_WORDS, "2024-01-03"),
        _row("bonus", f"Bonus 1:1 / {SPLIT_WORDS.replace('10/-', '4/-')}", "2024-01-03"),
    )
    refused = [(item.line, item.rule) for item in items if isinstance(item, Refusal)]
    assert refused == [(4, Rule.DUPLICATE), (6, Rule.DUPLICATE)]
    assert isinstance(items[4], Refusal)
    assert "ratio 2.0, a row above says 5.0" in items[4].detail


def test_a_stated_ratio_takes_precedence_over_the_subject(tmp_path: Path) -> None:
    items = _read(
        tmp_path,
        "500002,2024-01-02,split,5,",
        "500003,2024-01-02,split,5.0,Face Value Split From Rs 10 To Rs 2",
        "500004,2024-01-02,split,4,Face Value Split From Rs 10 To Rs 2",
        "500005,2024-01-02,split,-5,",
        "500006,2024-01-02,bonus,x,",
        "500007,2024-01-02,bonus,,Bonus 1:1",
        header=STATED,
    )
    assert items[0] == _actions(("split", 5.0, ""))
    assert [(item.line, item.rule) for item in items if isinstance(item, Refusal)] == [
        (4, Rule.RATIO),
        (5, Rule.NUMBER),
        (6, Rule.NUMBER),
    ]
    assert isinstance(items[5], list)
    assert items[5][0][1].ratio == 2.0
