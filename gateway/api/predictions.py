"""Predictions for validated requests: asks the predictor, and says what its answers mean."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from gateway.api.answers import Code, PredictionAnswer
from gateway.api.confidence import confidence
from gateway.api.outcome import (
    Outcome,
    Refusal,
    Result,
    outcome_name,
    settled,
    unknown_stock,
)
from gateway.api.schemas import PredictionRequest
from gateway.catalog.routing import Route, Router
from gateway.catalog.shadow import Shadow
from gateway.catalog.versions import ModelCatalog
from gateway.errors import PredictorError, PredictorUnavailableError, StoreUnavailableError
from gateway.ports import Clock, InferenceResult, PredictionQuery, PredictionSource
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.features.row import MINIMUM_ROWS, Status
from preprocess.market.calendar import exchange_today
from preprocess.market.golden_row import GOLDEN_CODE
from preprocess.market.values import UNKNOWN_SYMBOL
from preprocess.models.names import Variant


class Symbols(Protocol):
    """Where NSE symbols come from."""

    def symbol(self, bse_code: str) -> str | None:
        """The NSE symbol of a stock, if it is known to have one."""
        ...


class Predictions:
    """The service behind both prediction calls. Knows nothing of how they came in."""

    def __init__(
        self,
        source: PredictionSource,
        *,
        versions: ModelCatalog,
        router: Router,
        shadow: Shadow,
        symbols: Symbols,
        clock: Clock,
        trusted: Callable[[Variant], bool],
        count: Callable[[Variant, str], None],
        count_routed: Callable[[Variant, str], None],
    ) -> None:
        """A variant that is not `trusted` is not asked: its answers are known to be wrong.

        `count(variant, outcome)` is called once for each requested stock, `count_routed(variant,
        label)` for each prediction with the label of the version that computed it.
        """
        self._source = source
        self._versions = versions
        self._router = router
        self._shadow = shadow
        self._symbols = symbols
        self._clock = clock
        self._trusted = trusted
        self._count = count
        self._count_routed = count_routed

    async def predict(self, request: PredictionRequest, timeout_s: float) -> Outcome:
        """The outcome for one stock.

        Raises:
            PredictorError: there is no answer, for a reason that lies with the service.
        """
        now = self._clock()
        result: Result | None = self._refused(request, exchange_today(now).isoformat())
        if result is None:
            route = self._router.route(request.variant, request.bse_code)
            (result,) = await self._ask([request], route, now, timeout_s)
        self._count(request.variant, outcome_name(result))
        if isinstance(result, PredictorError):
            raise result
        return result

    async def predict_batch(
        self, requests: Sequence[PredictionRequest], timeout_s: float
    ) -> list[Outcome]:
        """One outcome for each request, in their order; one call of the predictor a variant
        and version.

        Raises:
            PredictorError: not one of those that were asked about could be answered, for a reason
                that lies with the service. If at least one could, the others are refusals.
        """
        now = self._clock()
        today = exchange_today(now).isoformat()
        results: dict[int, Result] = {}
        groups: dict[tuple[Variant, Route], list[int]] = {}
        for place, request in enumerate(requests):
            refusal = self._refused(request, today)
            if refusal is None:
                route = self._router.route(request.variant, request.bse_code)
                groups.setdefault((request.variant, route), []).append(place)
            else:
                results[place] = refusal
        answered = await asyncio.gather(
            *(
                self._ask([requests[place] for place in places], route, now, timeout_s)
                for (_, route), places in groups.items()
            )
        )
        for places, found in zip(groups.values(), answered, strict=True):
            results.update(zip(places, found, strict=True))
        for place, request in enumerate(requests):
            self._count(request.variant, outcome_name(results[place]))
        return settled([results[place] for place in range(len(requests))])

    def _refused(self, request: PredictionRequest, today: str) -> Refusal | None:
        if request.prediction_date > today:
            return Refusal(Code.FUTURE_DATE, f"The date is after today in Mumbai, {today}")
        if request.bse_code == GOLDEN_CODE:
            return unknown_stock(request)
        if not self._router.serves(request.variant):
            return Refusal(
                Code.VARIANT_NOT_SERVED, f"The variant {request.variant} is not served here"
            )
        return None

    async def _ask(
        self,
        requests: Sequence[PredictionRequest],
        route: Route,
        now: datetime,
        timeout_s: float,
    ) -> list[Result]:
        """The results of requests of one variant and route, by one call of the predictor."""
        if not self._trusted(requests[0].variant):
            return [PredictorUnavailableError("the golden row comes back wrong")] * len(requests)
        queries = [
            PredictionQuery(
                request.bse_code, request.prediction_date, request.variant, route.version
            )
            for request in requests
        ]
        try:
            answers = await self._source.predict(queries, timeout_s)
        except PredictorError as error:
            return [error] * len(requests)
        results = [
            await self._judged(request, answer, now)
            for request, answer in zip(requests, answers, strict=True)
        ]
        for query, result in zip(queries, results, strict=True):
            if not isinstance(result, (Refusal, PredictorError)):
                label = self._router.label(result.model_version)
                self._count_routed(query.variant, label)
                if route.shadow is not None:
                    self._shadow.offer(
                        query, route.shadow, result.probability, result.predicted_label
                    )
        return results

    async def _judged(
        self, request: PredictionRequest, answer: InferenceResult | PredictorError, now: datetime
    ) -> Result:
        if isinstance(answer, PredictorError):
            return answer
        match answer.status:
            case Status.OK:
                return await self._prediction(request, answer, now)
            case Status.UNKNOWN_STOCK:
                return unknown_stock(request)
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
        self, request: PredictionRequest, answer: InferenceResult, now: datetime
    ) -> PredictionAnswer | PredictorError:
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
        return PredictionAnswer(
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
            cached=answer.cached,
            prediction_timestamp=now,
            features=(
                dict(zip(FEATURE_NAMES, answer.features, strict=True))
                if request.include_features
                else None
            ),
            shap_values=None,
        )
