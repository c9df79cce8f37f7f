"""What came of a request for one stock: a prediction, a refusal, or an error of the service."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.api.answers import Code, PredictionAnswer
from gateway.api.schemas import PredictionRequest
from gateway.errors import DeadlineExceededError, PredictorError, PredictorOverloadedError


@dataclass(frozen=True, slots=True)
class Refusal:
    """No prediction, and a sentence for the caller that says why."""

    code: Code
    message: str


Outcome = PredictionAnswer | Refusal
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
    if isinstance(result, Refusal):
        return result.code in (Code.UNKNOWN_STOCK, Code.SHORT_HISTORY)
    return not isinstance(result, PredictorError)


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
    if isinstance(result, PredictorError):
        result = _as_refusal(result)
    return result.code if isinstance(result, Refusal) else "ok"
