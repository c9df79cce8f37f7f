"""Whether a stock has features as of a day, and why not."""

from enum import StrEnum

# The longest look-back among the technical features: MACD(12, 26, 9) needs 34 rows.
MINIMUM_ROWS = 34


class Status(StrEnum):
    """Whether a row could be computed; the words that Triton's `status` output carries."""

    OK = "OK"
    UNKNOWN_STOCK = "UNKNOWN_STOCK"
    SHORT_HISTORY = "SHORT_HISTORY"
    INVALID_CODE = "INVALID_CODE"
    INVALID_DATE = "INVALID_DATE"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
