"""Why a row of a file is refused, and its line."""

from dataclasses import dataclass
from enum import StrEnum

_SHOWN_CHARACTERS = 120


class Rule(StrEnum):
    """The rules that a row can break, in the words of the report."""

    COLUMN_COUNT = "wrong column count"
    ENCODING = "not UTF-8 text"
    QUOTES = "unbalanced quotes"
    TOO_LONG = "line too long"
    CODE = "no six-digit BSE code"
    DATE = "no date"
    FUTURE = "date in the future"
    PRICE = "no positive price"
    RANGE = "high and low contradict"
    VOLUME = "no number of shares"
    NUMBER = "no number"
    DUPLICATE = "key twice in one file"
    QUARTER = "no fiscal quarter"
    PERIOD = "dates contradict the quarter"
    KIND = "no known kind"
    RATIO = "no ratio in the subject"
    ISIN = "no ISIN"
    STOCK = "no known stock"
    BAND = "no price band"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused row; `line` counts from 1, the header included."""

    file: str
    line: int
    rule: Rule
    detail: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.rule} ({self.detail})"


class RowRefusedError(Exception):
    """A row breaks a rule. Raised and caught inside this package; the rest of the file goes in."""

    def __init__(self, rule: Rule, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


class NotListedError(RowRefusedError):
    """A row is of a stock that BSE does not list: it is left out, and that is no fault of it."""


def shown(text: str) -> str:
    """Text of a file, quoted, with control characters escaped and cut to a readable length."""
    if len(text) > _SHOWN_CHARACTERS:
        return f"{text[:_SHOWN_CHARACTERS]!r} and {len(text) - _SHOWN_CHARACTERS} more characters"
    return repr(text)
