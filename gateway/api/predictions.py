"""Predictions for validated requests: queries the predictor and turns its results into answers."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gateway.api.answers import Code, PredictionAnswer
from gateway.api.confidence import confidence, margin
from gateway.api.schemas import PredictionRequest
from gateway.catalog.routing import Route, Router
from gateway.catalog.shadow import Shadow
from gateway.catalog.versions import ModelCatalog
from gateway.errors import (
    DeadlineExceededError,
    PredictorError,
    PredictorOverloadedError,
    PredictorUnavailableError,
    StoreUnavailableError,
)
from gateway.ports import Clock, InferenceResult, PredictionQuery, PredictionSource
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.features.row import MINIMUM_ROWS, Status
from preprocess.market.announcements import Event
from preprocess.market.calendar import exchange_today
from preprocess.market.golden_row import GOLDEN_CODE
from preprocess.market.values import UNKNOWN_SYMBOL
from preprocess.models.names import Variant


@dataclass(frozen=True, slots=True)
class Refusal:
    """No prediction, and a sentence that tells the caller why."""

    code: Code
    message: str


Outcome = PredictionAnswer | Refusal
Result = Outcome | PredictorError


class StockFacts(Protocol):
    """What is known of stocks besides their prices."""

    def symbol(self, bse_code: str) -> str | None:
        """The NSE symbol of a stock, or None if it has no known symbol."""
        ...

    def event(self, bse_code: str, as_of: str, day: str) -> Event:
        """What a prediction for `day` from prices up to `as_of` is about."""
        ...


class Predictions:
    """The service behind both prediction calls. It does not depend on HTTP."""

    def __init__(
        self,
        source: PredictionSource,
        *,
        versions: ModelCatalog,
        router: Router,
        shadow: Shadow,
        stocks: StockFacts,
        clock: Clock,
        trusted: Callable[[Variant], bool],
        count: Callable[[Variant, str], None],
        count_routed: Callable[[Variant, str], None],
    ) -> None:
        """A variant that is not `trusted` is not queried: its results are known to be wrong.

        `count(variant, outcome)` is called once for each requested stock, `count_routed(variant,
        label)` for each prediction, with the label of the version that computed it.
        """
        self._source = source
        self._versions = versions
        self._router = router
        self._shadow = shadow
        self._stocks = stocks
        self._clock = clock
        self._trusted = trusted
        self._count = count
        self._count_routed = count_routed

    async def predict(self, request: PredictionRequest, timeout_s: float) -> Outcome:
        """The outcome for one stock.

        Raises:
            PredictorError: the service could not answer; the request itself may be fine.
        """
        now = self._clock()
        result: Result | None = self._refused(request, exchange_today(now).isoformat())
        if result is None:
            route = self._router.route(request.variant, request.bse_code)
            (result,) = await self._query([request], [route], now, timeout_s)
        self._count_outcome(request, result)
        if isinstance(result, PredictorError):
            raise result
        return result

    async def predict_batch(
        self, requests: Sequence[PredictionRequest], timeout_s: float
    ) -> list[Outcome]:
        """One outcome per request, in the same order; one call of the predictor for each variant
        and version.

        Raises:
            PredictorError: the predictor could answer none of the stocks it was queried for. If
                it answered at least one, the failed ones become refusals.
        """
        now = self._clock()
        today = exchange_today(now).isoformat()
        results: dict[int, Result] = {}
        routes: dict[int, Route] = {}
        groups: dict[tuple[Variant, int | None], list[int]] = {}
        for index, request in enumerate(requests):
            refusal = self._refused(request, today)
            if refusal is None:
                route = self._router.route(request.variant, request.bse_code)
                routes[index] = route
                # Not by the route: stocks with a shadow are the same version's as those without.
                groups.setdefault((request.variant, route.version), []).append(index)
            else:
                results[index] = refusal
        answered = await asyncio.gather(
            *(
                self._query(
                    [requests[index] for index in indices],
                    [routes[index] for index in indices],
                    now,
                    timeout_s,
                )
                for indices in groups.values()
            )
        )
        for indices, group in zip(groups.values(), answered, strict=True):
            results.update(zip(indices, group, strict=True))
        for index, request in enumerate(requests):
            self._count_outcome(request, results[index])
        failures = [result for result in results.values() if isinstance(result, PredictorError)]
        if failures and not any(_is_answer(result) for result in results.values()):
            raise failures[0]
        return [_as_outcome(results[index]) for index in range(len(requests))]

    def _count_outcome(self, request: PredictionRequest, result: Result) -> None:
        outcome = _as_outcome(result)
        self._count(request.variant, outcome.code if isinstance(outcome, Refusal) else "ok")

    def _refused(self, request: PredictionRequest, today: str) -> Refusal | None:
        if request.prediction_date > today:
            return Refusal(Code.FUTURE_DATE, f"The date is after today in Mumbai, {today}")
        if request.bse_code == GOLDEN_CODE:
            return _unknown_stock(request)
        if not self._router.serves(request.variant):
            return Refusal(
                Code.VARIANT_NOT_SERVED, f"The variant {request.variant} is not served here"
            )
        return None

    async def _query(
        self,
        requests: Sequence[PredictionRequest],
        routes: Sequence[Route],
        now: datetime,
        timeout_s: float,
    ) -> list[Result]:
        """The results for requests of one variant and version, from one call of the predictor."""
        if not self._trusted(requests[0].variant):
            return [PredictorUnavailableError("the golden row comes back wrong")] * len(requests)
        queries = [
            PredictionQuery(
                request.bse_code, request.prediction_date, request.variant, route.version
            )
            for request, route in zip(requests, routes, strict=True)
        ]
        try:
            answers = await self._source.predict(queries, timeout_s)
        except PredictorError as error:
            return [error] * len(requests)
        results = [
            await self._interpreted(request, answer, now)
            for request, answer in zip(requests, answers, strict=True)
        ]
        for query, route, result in zip(queries, routes, results, strict=True):
            if not isinstance(result, (Refusal, PredictorError)):
                label = self._router.label(result.model_version)
                self._count_routed(query.variant, label)
                if route.shadow is not None:
                    self._shadow.offer(
                        query, route.shadow, result.probability, result.predicted_label
                    )
        return results

    async def _interpreted(
        self, request: PredictionRequest, answer: InferenceResult | PredictorError, now: datetime
    ) -> Result:
        if isinstance(answer, PredictorError):
            return answer
        match answer.status:
            case Status.OK:
                return await self._prediction(request, answer, now)
            case Status.UNKNOWN_STOCK:
                return _unknown_stock(request)
            case Status.SHORT_HISTORY:
                return Refusal(
                    Code.SHORT_HISTORY,
                    f"The stock {request.bse_code} has fewer than {MINIMUM_ROWS} price rows on or "
                    f"before {request.prediction_date}",
                )
            case Status.STORE_UNAVAILABLE:
                return StoreUnavailableError("the features model cannot read the market database")
            case Status.INVALID_CODE | Status.INVALID_DATE:
                return PredictorUnavailableError(
                    f"{answer.status} for {request.bse_code} {request.prediction_date}"
                )

    async def _prediction(
        self, request: PredictionRequest, answer: InferenceResult, now: datetime
    ) -> PredictionAnswer | PredictorError:
        number, as_of, probability = answer.model_version, answer.as_of, answer.probability
        if as_of is None or as_of > request.prediction_date or not 0.0 <= probability <= 1.0:
            # A working model never returns this, and a wrong number is worse than none.
            return PredictorUnavailableError(f"probability {probability} as of {as_of}")
        version = self._versions.answered(request.variant, number)
        if version is None:
            version = await self._versions.look_up(request.variant, number)
        if version is None:
            # Its threshold is unknown, and a guessed threshold may reverse the label.
            return PredictorUnavailableError(f"version {number} answered but is not published")
        event = self._stocks.event(request.bse_code, as_of, request.prediction_date)
        return PredictionAnswer(
            bse_code=request.bse_code,
            nse_symbol=(
                self._stocks.symbol(request.bse_code) or request.nse_symbol or UNKNOWN_SYMBOL
            ),
            prediction_date=request.prediction_date,
            as_of=as_of,
            announced_on=event.announced_on,
            basis="announcement" if event.announced_on else "no_announcement",
            next_session=event.next_session,
            predicted_label=int(probability >= version.threshold),
            probability=probability,
            target=version.label.name,
            threshold=version.threshold,
            margin=margin(probability, version.threshold),
            confidence=confidence(probability),
            model_version=number,
            variant=request.variant,
            cached=answer.cached,
            prediction_timestamp=now,
            features=(
                dict(zip(FEATURE_NAMES, answer.features, strict=True))
                if request.include_features
                else None
            ),
            shap_values=None,
        )


def _unknown_stock(request: PredictionRequest) -> Refusal:
    return Refusal(Code.UNKNOWN_STOCK, f"No stock has the BSE code {request.bse_code}")


def _is_answer(result: Result) -> bool:
    """Whether the predictor itself decided this result."""
    if isinstance(result, Refusal):
        return result.code in (Code.UNKNOWN_STOCK, Code.SHORT_HISTORY)
    return not isinstance(result, PredictorError)


def _as_outcome(result: Result) -> Outcome:
    match result:
        case DeadlineExceededError():
            return Refusal(Code.DEADLINE_EXCEEDED, "There was no answer in time")
        case PredictorOverloadedError():
            return Refusal(Code.OVERLOADED, "The service is busy; try again")
        case PredictorError():
            return Refusal(Code.UNAVAILABLE, "The service cannot answer now; try again")
        case _:
            return result
