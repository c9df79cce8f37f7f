"""Cells: which texts are values and which are refused."""

import math
from collections.abc import Callable
from datetime import date

import pytest

from preprocess.imports import cells
from preprocess.imports.refusal import RowRefusedError, Rule, shown

TODAY = date(2026, 8, 22)


def day(text: str) -> date:
    return cells.past_day(text, "date", TODAY)


def price(text: str) -> float:
    return cells.price(text, "open")


def figure(text: str) -> float:
    return cells.figure(text, "eps")


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (cells.bse_code, "000042", "000042"),
        (day, "2024-02-29", date(2024, 2, 29)),
        (day, "2026-08-22", TODAY),
        (price, "12.5", 12.5),
        (price, "1e-05", 1e-5),
        (price, "+3", 3.0),
        (cells.previous_close, "", None),
        (cells.previous_close, "0.00", None),
        (cells.previous_close, "7.5", 7.5),
        (cells.volume, "0", 0),
        (cells.volume, "703.0", 703),
        (cells.volume, "1.5e3", 1500),
        (cells.volume, str(2**53), 2**53),
        (figure, "-3.5", -3.5),
        (figure, "(12.5)", -12.5),
        (figure, "5,40,231", 540231.0),
        (figure, "1,634.00", 1634.0),
        (figure, "1,234,567.5", 1234567.5),
        (cells.volume, "5,40,231", 540231),
        (cells.bse_code, "500325.0", "500325"),
        (cells.isin, "ine117a01022", "INE117A01022"),
        (cells.isin, "NA", None),
        (day, "09-07-2024", date(2024, 7, 9)),
        (day, "9 Jul 2024", date(2024, 7, 9)),
        (day, "03-Jan-23", date(2023, 1, 3)),
        (day, "29-NOV-1995", date(1995, 11, 29)),
        (day, "2024-01-02 00:00:00", date(2024, 1, 2)),
    ],
)
def test_values(read: Callable[[str], object], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "rule", "texts"),
    [
        (cells.bse_code, Rule.CODE, ", 42, 5000022, 50000A, 500002.5, ५०००२२, -50002"),
        (
            day,
            Rule.DATE,
            ", 20240102, 2024-W01-2, 2024-1-2, 02-01-24, 2024/01/02, 2023-02-29",
        ),
        (day, Rule.DATE, "31-11-2024, 5-Foo-24, 7/19/2024"),
        (day, Rule.DATE, "2024-01-02 10:00:00, 2024-01-02T25:00:00, 0024-01-02"),
        (day, Rule.DATE, "\uff12\uff10\uff12\uff14-01-02"),
        (day, Rule.FUTURE, "2026-08-23"),
        (price, Rule.PRICE, ", 0, 0.00, -1, nan, inf, 1e999, 1_000, 1;000, ٣, 12a, 1.2.3"),
        (cells.previous_close, Rule.PRICE, "-1, none, nan"),
        (cells.volume, Rule.VOLUME, f", -1, 1.5, {2**52}.5, {2**53 + 1}, many, 1e17, nan"),
        (cells.volume, Rule.VOLUME, "1e999999999999999999"),
        (figure, Rule.NUMBER, "n.a, 1,23,4, 12,5, (-1), (1, 1 2"),
    ],
)
def test_refusals(read: Callable[[str], object], rule: Rule, texts: str) -> None:
    for text in texts.split(", "):
        with pytest.raises(RowRefusedError) as caught:
            read(text)
        assert caught.value.rule is rule, text


@pytest.mark.parametrize("text", ["", "-", "NA", "n/a"])
def test_a_figure_may_be_missing(text: str) -> None:
    assert math.isnan(figure(text))


def test_what_a_file_holds_is_shown_escaped_and_cut() -> None:
    assert shown("a\x1b[31m") == "'a\\x1b[31m'"
    assert shown("x" * 121) == f"'{'x' * 120}' and 1 more characters"
