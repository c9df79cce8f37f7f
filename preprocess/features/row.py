"""One stock's features as of one day, or the reason why there are none."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np

from preprocess.features.manifest import FEATURE_COUNT
from preprocess.market.values import Floats

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


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """`values` is float64 [25] in manifest order, NaN where missing, all NaN unless OK.

    `as_of` is the date of the newest price row used; None unless OK.
    """

    status: Status
    as_of: date | None
    values: Floats

    @classmethod
    def without_values(cls, status: Status) -> "FeatureRow":
        """A row that could not be computed."""
        return cls(status, None, np.full(FEATURE_COUNT, np.nan))
