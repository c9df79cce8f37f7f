"""Single cells to values; a malformed cell refuses its row.

A form that has one meaning is read: Indian digit groups, days before months, brackets for a loss.
A form that may mean two things is refused.
"""

import math
import re
from datetime import date, time
from decimal import Decimal, InvalidOperation

from preprocess.imports.refusal import RowRefusedError, Rule, shown

# The exchange was founded on this day; nothing can be dated before it.
EXCHANGE_FOUNDED = date(1875, 7, 9)

# float64 counts shares exactly up to here, and the feature arrays are float64.
LARGEST_VOLUME = 2**53

MISSING = frozenset({"", "-", "--", "NA", "N.A.", "N/A", "NIL"})

_CODE = re.compile(r"([0-9]{6})(?:\.0+)?")  # spreadsheets write 500325.0
_ISIN = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")
_NUMERIC = "0123456789.eE+-"
_GROUPED = re.compile(
    r"(?P<sign>-?)(?P<whole>[0-9]{1,2}(?:,[0-9]{2})*,[0-9]{3}|[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
    r"(?P<part>\.[0-9]*)?"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY = re.compile(
    r"(?:(?P<iso>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"|(?P<day>[0-9]{1,2})[-/ ](?P<name>[a-z]{3,9})[-/ ,]+(?P<year>[0-9]{4}|[0-9]{2})"
    r"|(?P<first>[0-9]{2})(?P<mark>[-/])(?P<month>[0-9]{2})(?P=mark)(?P<century>[0-9]{4}))"
    r"(?:[ T]+(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.[0-9]+)?)?)?",
    re.IGNORECASE | re.ASCII,
)


def missing(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return text.upper() in MISSING


def bse_code(text: str) -> str:
    """A code of six digits, leading zeros kept; 500325.0 is 500325."""
    match = _CODE.fullmatch(text)
    if match is None:
        raise RowRefusedError(Rule.CODE, f"bse_code is {shown(text)}")
    return match[1]


def isin(text: str) -> str | None:
    """An ISIN in capitals; None where there is none."""
    if missing(text):
        return None
    if not _ISIN.fullmatch(text.upper()):
        raise RowRefusedError(Rule.ISIN, f"isin is {shown(text)}")
    return text.upper()


def moment(text: str, column: str) -> tuple[date, time | None]:
    """A day, with its time where one stands beside it.

    Days are 2024-07-09, 09-Jul-2024, 9 Jul 24 and, day first, 09-07-2024.
    """
    match = _DAY.fullmatch(text)
    found, clock = None, None
    if match:
        try:
            if match["iso"]:
                found = date.fromisoformat(match["iso"])
            elif match["name"]:
                month = _MONTHS.index(match["name"][:3].lower()) + 1
                year = int(match["year"])
                # As C and Python read two digits: 69 to 99 are of the last century.
                year += 0 if year > 99 else 2000 if year < 69 else 1900
                found = date(year, month, int(match["day"]))
            else:
                found = date(int(match["century"]), int(match["month"]), int(match["first"]))
            if match["hour"]:
                clock = time(int(match["hour"]), int(match["minute"]), int(match["second"] or 0))
        except ValueError:
            found = None
    if found is None:
        raise RowRefusedError(Rule.DATE, f"{column} is {shown(text)}, not like 2024-07-09")
    if found < EXCHANGE_FOUNDED:
        raise RowRefusedError(Rule.DATE, f"{column} is {found}, before the exchange was founded")
    return found, clock


def past_moment(text: str, column: str, today: date) -> tuple[date, time | None]:
    """A day that is not after `today`, with its time where one stands beside it."""
    day, clock = moment(text, column)
    if day > today:
        raise RowRefusedError(Rule.FUTURE, f"{column} is {day}, today is {today}")
    return day, clock


def past_day(text: str, column: str, today: date) -> date:
    """A whole day that is not after `today`."""
    day, clock = past_moment(text, column, today)
    if clock not in (None, time(0)):
        raise RowRefusedError(Rule.DATE, f"{column} is {shown(text)}, a time of a day")
    return day


def number(text: str) -> float:
    """A finite decimal number, also with digit groups; brackets are a minus.

    Raises:
        ValueError: it is not a number.
    """
    # float() also takes 1_000, digits of other scripts, "nan" and "infinity".
    value = float(_ungrouped(text) if text.strip(_NUMERIC) else text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _ungrouped(text: str) -> str:
    negative = text.startswith("(") and text.endswith(")")
    match = _GROUPED.fullmatch(text[1:-1].strip() if negative else text)
    if match is None or (negative and match["sign"]):
        raise ValueError(text)
    sign = "-" if negative else match["sign"]
    return f"{sign}{match['whole'].replace(',', '')}{match['part'] or ''}"


def price(text: str, column: str) -> float:
    """A price in rupees a share, above zero."""
    try:
        value = number(text)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise RowRefusedError(Rule.PRICE, f"{column} is {shown(text)}")
    return value


def previous_close(text: str) -> float | None:
    """The close of the day before; sources leave it empty or 0 on a stock's first day."""
    try:
        value = 0.0 if missing(text) else number(text)
    except ValueError:
        value = -1.0
    if value < 0:
        raise RowRefusedError(Rule.PRICE, f"prev_close is {shown(text)}")
    return value or None


def volume(text: str) -> int:
    """A number of shares, 0 or more; 703.0 is 703."""
    if text.isdecimal() and text.isascii() and len(text) < 16:
        return int(text)
    try:
        # Exact, since float() would round a large fraction to a whole number.
        value = Decimal(_ungrouped(text) if text.strip(_NUMERIC) else text)
    except (InvalidOperation, ValueError):
        value = Decimal(-1)
    if not 0 <= value <= LARGEST_VOLUME or value != value.to_integral_value():
        raise RowRefusedError(Rule.VOLUME, f"volume is {shown(text)}")
    return int(value)


def figure(text: str, column: str) -> float:
    """A reported figure; NaN where there is none."""
    if missing(text):
        return math.nan
    try:
        return number(text)
    except ValueError:
        raise RowRefusedError(Rule.NUMBER, f"{column} is {shown(text)}") from None
