"""What came of one stock: a probability, or the reason why there is none."""

from enum import StrEnum

import msgspec

from preprocess.features.row import MINIMUM_ROWS


class Reason(StrEnum):
    """Why a stock has no prediction."""

    SHORT_HISTORY = "SHORT_HISTORY"
    NO_PRICES = "NO_PRICES"
    NOT_ACTIVE = "NOT_ACTIVE"
    UNKNOWN_STOCK = "UNKNOWN_STOCK"
    INVALID_CODE = "INVALID_CODE"
    INVALID_DATE = "INVALID_DATE"
    INVALID_ANSWER = "INVALID_ANSWER"

    @property
    def sentence(self) -> str:
        """The reason as people read it."""
        return _SENTENCES[self]

    @property
    def is_failure(self) -> bool:
        """Whether the stock should have been scored: the fault is ours, not the data's."""
        return self in (Reason.INVALID_CODE, Reason.INVALID_DATE, Reason.INVALID_ANSWER)


_SENTENCES = {
    Reason.SHORT_HISTORY: f"fewer than {MINIMUM_ROWS} price rows on or before the date",
    Reason.NO_PRICES: "no price row at all",
    Reason.NOT_ACTIVE: "the stock is not active",
    Reason.UNKNOWN_STOCK: "the stock was taken out of the database during the run",
    Reason.INVALID_CODE: "Triton took the code for malformed",
    Reason.INVALID_DATE: "Triton took the date for malformed",
    Reason.INVALID_ANSWER: "Triton's answer was no probability, or one of a later day",
}


class Scored(msgspec.Struct, frozen=True, tag=True):
    """A stock with a probability.

    `as_of` is the ISO date of the newest price used, `model_version` the version that computed
    the probability.
    """

    bse_code: str
    probability: float
    as_of: str
    model_version: int


class Skipped(msgspec.Struct, frozen=True, tag=True):
    """A stock without one."""

    bse_code: str
    reason: Reason


Outcome = Scored | Skipped
