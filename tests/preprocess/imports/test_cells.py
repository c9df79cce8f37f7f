"""Cells: which texts are values and which are refused."""

import math
from collections.abc import Callable
from datetime import date

import pytest

from preprocess.imports import cells
from preprocess.imports.refusal import RowRefusedError, Rule, shown

TODAY = date(2026, 8, 22)


def _rule(read: Callable[[], object]) -> Rule:
    with pytest.raises(RowRefusedError) as caught:
        read()
    return caught.value.rule


def test_leading_zeros_of_a_code_are_kept() -> None:
    assert cells.bse_code("000042") == "000042"


@pytest.mark.parametrize("text", ["", "42", "5000022", "50000A", "500002.0", "५०००२२", "-50002"])
def test_other_codes_are_refused(text: str) -> None:
    assert _rule(lambda: cells.bse_code(text)) is Rule.CODE


def test_an_iso_day_up_to_today_is_taken() -> None:
    assert cells.past_day("2024-02-29", "date", TODAY) == date(2024, 2, 29)
    assert cells.past_day("2026-08-22", "date", TODAY) == TODAY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20240102",
        "2024-W01-2",
        "2024-1-2",
        "02-01-2024",
        "2024/01/02",
        "2023-02-29",
        "2024-01-02 00:00:00",
        "2024-01-02T00:00:00",
        "0024-01-02",
        "\uff12\uff10\uff12\uff14-01-02",
    ],
)
def test_other_days_are_refused(text: str) -> None:
    assert _rule(lambda: cells.past_day(text, "date", TODAY)) is Rule.DATE


def test_a_day_after_today_is_refused() -> None:
    assert _rule(lambda: cells.past_day("2026-08-23", "date", TODAY)) is Rule.FUTURE


@pytest.mark.parametrize(("text", "value"), [("12.5", 12.5), ("1e-05", 1e-5), ("+3", 3.0)])
def test_prices_above_zero_are_taken(text: str, value: float) -> None:
    assert cells.price(text, "open") == value


@pytest.mark.parametrize(
    "text", ["", "0", "0.00", "-1", "nan", "inf", "1e999", "1_000", "1,000", "٣", "12a", "1.2.3"]
)
def test_other_prices_are_refused(text: str) -> None:
    assert _rule(lambda: cells.price(text, "open")) is Rule.PRICE


@pytest.mark.parametrize(("text", "value"), [("", None), ("0.00", None), ("7.5", 7.5)])
def test_a_previous_close_may_be_missing(text: str, value: float | None) -> None:
    assert cells.previous_close(text) == value


@pytest.mark.parametrize("text", ["-1", "none", "nan"])
def test_a_malformed_previous_close_is_refused(text: str) -> None:
    assert _rule(lambda: cells.previous_close(text)) is Rule.PRICE


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("703.0", 703), ("1.5e3", 1500), (str(2**53), 2**53)]
)
def test_volumes_are_whole_numbers_of_shares(text: str, value: int) -> None:
    assert cells.volume(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "-1", "1.5", f"{2**52}.5", str(2**53 + 1), "many", "1e17", "1e999999999999999999", "nan"],
)
def test_other_volumes_are_refused(text: str) -> None:
    assert _rule(lambda: cells.volume(text)) is Rule.VOLUME


def test_an_empty_figure_is_missing_and_a_word_is_refused() -> None:
    assert math.isnan(cells.figure("", "eps"))
    assert cells.figure("-3.5", "eps") == -3.5
    assert _rule(lambda: cells.figure("n/a", "eps")) is Rule.NUMBER


def test_what_a_file_holds_is_shown_escaped_and_cut() -> None:
    assert shown("a\x1b[31m") == "'a\\x1b[31m'"
    assert shown("x" * 121) == f"'{'x' * 120}' and 1 more characters"
