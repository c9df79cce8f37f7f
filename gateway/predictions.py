"""Predictions for validated requests: asks the predictor, and says what its answers mean."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from gateway.errors import (
    DeadlineExceededError,
    PredictorError,
    PredictorOverloadedError,
    PredictorUnavailableError,
    StoreUnavailableError,
)
from gateway.ports import Answer, Ask, Clock, Predictor, Variant
from gateway.schemas import PredictionRequest
from gateway.versions import VersionBook
from preprocess.calendar import exchange_today
from preprocess.confidence import Confidence, confidence
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.features.row import MINIMUM_ROWS, Status
from preprocess.golden import GOLDEN_CODE
from preprocess.market import UNKNOWN_SYMBOL


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


class Symbols(Protocol):
    """Where NSE symbols come from."""

    def symbol(self, bse_code: str) -> str | None:
        """The NSE symbol of a stock, if it is known to have one."""
        ...


class Predictions:
    """The service behind both prediction calls. Knows nothing of how they came in."""

    def __init__(
        self,
        predictor: Predictor,
        *,
        versions: VersionBook,
        symbols: Symbols,
        clock: Clock,
        trusted: Callable[[Variant], bool],
        count: Callable[[Variant, str], None],
    ) -> None:
        """A variant that is not `trusted` is not asked: its answers are known to be wrong.

        `count(variant, outcome)` is called once for each requested stock.
        """
        self._predictor = predictor
        self._versions = versions
        self._symbols = symbols
        self._clock = clock
        self._trusted = trusted
        self._count = count

    async def predict(self, request: PredictionRequest, timeout_s: float) -> Outcome:
        """The outcome for one stock.

        Raises:
            PredictorError: there is no answer, for a reason that lies with the service.
        """
        now = self._clock()
        result: Result | None = self._refused(request, exchange_today(now).isoformat())
        if result is None:
            (result,) = await self._ask([request], now, timeout_s)
        self._count(request.variant, _outcome_name(result))
        if isinstance(result, PredictorError):
            raise result
        return result

    async def predict_batch(
        self, requests: Sequence[PredictionRequest], timeout_s: float
    ) -> list[Outcome]:
        """One outcome for each request, in their order; one call of the predictor a variant.

        Raises:
            PredictorError: not one of those that were asked about could be answered, for a reason
                that lies with the service. If at least one could, the others are refusals.
        """
        now = self._clock()
        today = exchange_today(now).isoformat()
        results: dict[int, Result] = {}
        groups: dict[Variant, list[int]] = {}
        for place, request in enumerate(requests):
            refusal = self._refused(request, today)
            if refusal is None:
                groups.setdefault(request.variant, []).append(place)
            else:
                results[place] = refusal
        answered = await asyncio.gather(
            *(
                self._ask([requests[place] for place in places], now, timeout_s)
                for places in groups.values()
            )
        )
        for places, found in zip(groups.values(), answered, strict=True):
            results.update(zip(places, found, strict=True))
        for place, request in enumerate(requests):
            self._count(request.variant, _outcome_name(results[place]))
        return _settled([results[place] for place in range(len(requests))])

    def _refused(self, request: PredictionRequest, today: str) -> Refusal | None:
        if request.prediction_date > today:
            return Refusal(Code.FUTURE_DATE, f"The date is after today in Mumbai, {today}")
        if request.bse_code == GOLDEN_CODE:
            return _unknown(request)
        if not self._versions.published(request.variant) and not self._versions.empty:
            return Refusal(
                Code.VARIANT_NOT_SERVED, f"The variant {request.variant} is not served here"
            )
        return None

    async def _ask(
        self, requests: Sequence[PredictionRequest], now: datetime, timeout_s: float
    ) -> list[Result]:
        """The results of requests of one variant, by one call of the predictor."""
        if not self._trusted(requests[0].variant):
            return [PredictorUnavailableError("the golden row comes back wrong")] * len(requests)
        asks = [
            Ask(request.bse_code, request.prediction_date, request.variant) for request in requests
        ]
        try:
            answers = await self._predictor.predict(asks, timeout_s)
        except PredictorError as error:
            return [error] * len(requests)
        return [
            await self._judged(request, answer, now)
            for request, answer in zip(requests, answers, strict=True)
        ]

    async def _judged(self, request: PredictionRequest, answer: Answer, now: datetime) -> Result:
        match answer.status:
            case Status.OK:
                return await self._prediction(request, answer, now)
            case Status.UNKNOWN_STOCK:
                return _unknown(request)
            case Status.SHORT_HISTORY:
                return Refusal(
                    Code.SHORT_HISTORY,
                    f"The stock {request.bse_code} has fewer than {MINIMUM_ROWS} price rows on or "
                    f"before {request.prediction_date}",
                )
            case Status.STORE_UNAVAILABLE:
                return StoreUnavailableError("the features found no market database")
            case Status.INVALID_CODE | Status.INVALID_DATE:
                return PredictorUnavailableError(
                    f"{answer.status} for {request.bse_code} {request.prediction_date}"
                )

    async def _prediction(
        self, request: PredictionRequest, answer: Answer, now: datetime
    ) -> Prediction | PredictorError:
        number, as_of, probability = answer.model_version, answer.as_of, answer.probability
        if as_of is None or as_of > request.prediction_date or not 0.0 <= probability <= 1.0:
            # No working model answers this, and a wrong number is worse than none.
            return PredictorUnavailableError(f"probability {probability} as of {as_of}")
        version = self._versions.answered(request.variant, number)
        if version is None:
            version = await self._versions.look_up(request.variant, number)
        if version is None:
            # Its threshold is not known, and one that is guessed may turn the answer round.
            return PredictorUnavailableError(f"version {number} answers and is not published")
        return Prediction(
            bse_code=request.bse_code,
            nse_symbol=(
                self._symbols.symbol(request.bse_code) or request.nse_symbol or UNKNOWN_SYMBOL
            ),
            prediction_date=request.prediction_date,
            as_of=as_of,
            predicted_label=int(probability >= version.threshold),
            probability=probability,
            confidence=confidence(probability),
            model_version=number,
            variant=request.variant,
            cached=False,
            prediction_timestamp=now,
            features=(
                dict(zip(FEATURE_NAMES, answer.features, strict=True))
                if request.include_features
                else None
            ),
            shap_values=None,
        )


def _settled(results: list[Result]) -> list[Outcome]:
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


def _unknown(request: PredictionRequest) -> Refusal:
    return Refusal(Code.UNKNOWN_STOCK, f"No stock has the BSE code {request.bse_code}")


def _as_refusal(error: PredictorError) -> Refusal:
    match error:
        case DeadlineExceededError():
            return Refusal(Code.DEADLINE_EXCEEDED, "There was no answer in time")
        case PredictorOverloadedError():
            return Refusal(Code.OVERLOADED, "The service is busy; try again")
        case _:
            return Refusal(Code.UNAVAILABLE, "The service cannot answer now; try again")


def _outcome_name(result: Result) -> str:
    match result:
        case Prediction():
            return "ok"
        case Refusal():
            return result.code
        case _:
            return _as_refusal(result).code
