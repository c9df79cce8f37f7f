"""Single cells to values; a malformed cell refuses its row."""

import math
import re
from datetime import date
from decimal import Decimal, InvalidOperation

from preprocess.imports.refusal import RowRefusedError, Rule, shown
from preprocess.market.values import is_bse_code

# The exchange was founded on this day; nothing can be dated before it.
EXCHANGE_FOUNDED = date(1875, 7, 9)

# float64 counts shares exactly up to here, and the feature arrays are float64.
LARGEST_VOLUME = 2**53

_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMERIC = "0123456789.eE+-"


def bse_code(text: str) -> str:
    """A code of six digits, leading zeros kept."""
    if not is_bse_code(text):
        raise RowRefusedError(Rule.CODE, f"bse_code is {shown(text)}")
    return text


def calendar_day(text: str, column: str) -> date:
    """A day written YYYY-MM-DD; times and other forms are refused."""
    try:
        # date.fromisoformat() also takes 20240102 and 2024-W01-2.
        day = date.fromisoformat(text) if _ISO_DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise RowRefusedError(Rule.DATE, f"{column} is {shown(text)}, not YYYY-MM-DD")
    if day < EXCHANGE_FOUNDED:
        raise RowRefusedError(Rule.DATE, f"{column} is {day}, before the exchange was founded")
    return day


def past_day(text: str, column: str, today: date) -> date:
    """A day YYYY-MM-DD that is not after `today`."""
    day = calendar_day(text, column)
    if day > today:
        raise RowRefusedError(Rule.FUTURE, f"{column} is {day}, today is {today}")
    return day


def number(text: str) -> float:
    """A finite decimal number.

    Raises:
        ValueError: it is not a number.
    """
    # float() also takes 1_000, digits of other scripts, "nan" and "infinity".
    if text.strip(_NUMERIC):
        raise ValueError(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


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
        value = number(text) if text else 0.0
    except ValueError:
        value = -1.0
    if value < 0:
        raise RowRefusedError(Rule.PRICE, f"prev_close is {shown(text)}")
    return value or None


def volume(text: str) -> int:
    """A number of shares, 0 or more; 703.0 is 703."""
    try:
        # Exact, since float() would round a large fraction to a whole number.
        value = Decimal("" if text.strip(_NUMERIC) else text)
    except InvalidOperation:
        value = Decimal(-1)
    if not 0 <= value <= LARGEST_VOLUME or value != value.to_integral_value():
        raise RowRefusedError(Rule.VOLUME, f"volume is {shown(text)}")
    return int(value)


def figure(text: str, column: str) -> float:
    """A reported figure; NaN where the cell is empty."""
    if not text:
        return math.nan
    try:
        return number(text)
    except ValueError:
        raise RowRefusedError(Rule.NUMBER, f"{column} is {shown(text)}") from None
