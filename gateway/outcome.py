"""What came of a request for one stock: a prediction, a refusal, or an error of the service."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from gateway.errors import DeadlineExceededError, PredictorError, PredictorOverloadedError
from gateway.schemas import PredictionRequest
from preprocess.confidence import Confidence
from preprocess.repository.names import Variant


class Prediction(msgspec.Struct, frozen=True):
    """The answer for one stock as of one day; its fields are the keys of the response."""

    bse_code: str
    nse_symbol: str
    prediction_date: str
    as_of: str
    predicted_label: int
    probability: float
    confidence: Confidence
    model_version: int
    variant: Variant
    cached: bool
    prediction_timestamp: datetime
    features: dict[str, float] | None
    shap_values: dict[str, float] | None


class Code(StrEnum):
    """Why one stock has no prediction."""

    INVALID_REQUEST = "invalid_request"
    FUTURE_DATE = "future_date"
    UNKNOWN_STOCK = "unknown_stock"
    SHORT_HISTORY = "short_history"
    VARIANT_NOT_SERVED = "variant_not_served"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    DEADLINE_EXCEEDED = "deadline_exceeded"


@dataclass(frozen=True, slots=True)
class Refusal:
    """No prediction, and a sentence for the caller that says why."""

    code: Code
    message: str


Outcome = Prediction | Refusal
Result = Outcome | PredictorError


def settled(results: Sequence[Result]) -> list[Outcome]:
    """The outcomes; raises if no one was answered, and not because of what was asked."""
    failures = [result for result in results if isinstance(result, PredictorError)]
    if failures and not any(_is_answer(result) for result in results):
        raise failures[0]
    return [
        _as_refusal(result) if isinstance(result, PredictorError) else result for result in results
    ]


def _is_answer(result: Result) -> bool:
    match result:
        case Prediction():
            return True
        case Refusal():
            return result.code in (Code.UNKNOWN_STOCK, Code.SHORT_HISTORY)
        case _:
            return False


def unknown_stock(request: PredictionRequest) -> Refusal:
    """The refusal of a stock that there is not."""
    return Refusal(Code.UNKNOWN_STOCK, f"No stock has the BSE code {request.bse_code}")


def _as_refusal(error: PredictorError) -> Refusal:
    match error:
        case DeadlineExceededError():
            return Refusal(Code.DEADLINE_EXCEEDED, "There was no answer in time")
        case PredictorOverloadedError():
            return Refusal(Code.OVERLOADED, "The service is busy; try again")
        case _:
            return Refusal(Code.UNAVAILABLE, "The service cannot answer now; try again")


def outcome_name(result: Result) -> str:
    """What the result is counted as."""
    match result:
        case Prediction():
            return "ok"
        case Refusal():
            return result.code
        case _:
            return _as_refusal(result).code
