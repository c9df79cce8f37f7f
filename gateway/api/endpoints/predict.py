"""POST /api/v1/predict and POST /api/v1/batch_predict."""

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.api.answers import Code, PredictionAnswer
from gateway.api.deadline import Deadline
from gateway.api.incoming import (
    parse_json,
    problem,
    read_body,
    require_json,
    timeout_of,
    validated,
)
from gateway.api.predictions import Outcome, Predictions, Refusal
from gateway.api.responses import JSONAnswer
from gateway.api.schemas import BatchRequest, PredictionRequest
from gateway.errors import DeadlineExceededError, InvalidRequestError, SlowBodyError


class PredictEndpoint:
    """One stock. A plain ASGI application: a Request object would cost more than the parsing."""

    def __init__(self, predictions: Predictions, *, default_timeout_ms: int) -> None:
        """`default_timeout_ms` applies to callers that send no deadline."""
        self._predictions = predictions
        self._default_timeout_ms = default_timeout_ms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, validate, predict and respond, all before the deadline."""
        require_json(scope)
        body: bytes | None = None
        try:
            with Deadline(timeout_of(scope, self._default_timeout_ms)) as deadline:
                body = await read_body(receive)
                deadline.listen(receive)
                response = await self._answer(body, deadline)
        except DeadlineExceededError:
            if body is None:
                raise SlowBodyError("the body did not arrive in time") from None
            raise
        await response(scope, receive, send)

    async def _answer(self, body: bytes, deadline: Deadline) -> Response:
        request = validated(PredictionRequest, parse_json(body), "body")
        outcome = await self._predictions.predict(request, deadline.remaining_s)
        if isinstance(outcome, Refusal):
            return _refusal(request, outcome)
        return JSONAnswer(outcome)


class BatchPredictEndpoint(PredictEndpoint):
    """Up to 100 stocks. An item that cannot be answered fails alone."""

    async def _answer(self, body: bytes, deadline: Deadline) -> Response:
        items = validated(BatchRequest, parse_json(body), "body").predictions
        requests: dict[int, PredictionRequest] = {}
        answers: list[dict[str, Any] | None] = [None] * len(items)
        for index, item in enumerate(items):
            try:
                requests[index] = validated(PredictionRequest, item)
            except InvalidRequestError as error:
                refusal = Refusal(Code.INVALID_REQUEST, _in_words(error))
                answers[index] = item_answer(item, refusal)
        outcomes = await self._predictions.predict_batch(
            list(requests.values()), deadline.remaining_s
        )
        for index, outcome in zip(requests, outcomes, strict=True):
            answers[index] = item_answer(items[index], outcome)
        return JSONAnswer(answers)


def _refusal(request: PredictionRequest, refusal: Refusal) -> Response:
    """The response to a single request that is refused."""
    if refusal.code is Code.UNKNOWN_STOCK:
        return JSONAnswer({"detail": refusal.message}, 404)
    if refusal.code is Code.FUTURE_DATE:
        location = ["body", "prediction_date"]
        entry = problem("date_in_future", location, refusal.message, request.prediction_date)
        return JSONAnswer({"detail": [entry]}, 422)
    return JSONAnswer({"detail": refusal.message}, 422)


def item_answer(item: Any, outcome: Outcome) -> dict[str, Any]:
    """A batch item's prediction, or its error with the code and date echoed if they are strings."""
    if not isinstance(outcome, Refusal):
        return {**msgspec.structs.asdict(outcome), "error": None}
    given = item if isinstance(item, dict) else {}
    echoed = {
        key: given[key]
        for key in ("bse_code", "prediction_date")
        if isinstance(given.get(key), str)
    }
    error = {"code": outcome.code, "message": outcome.message}
    return {**_ALL_NULL, **echoed, "error": error}


def _in_words(error: InvalidRequestError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, entry['loc'])) or 'item'}: {entry['msg']}" for entry in error.detail
    )


_ALL_NULL: dict[str, Any] = dict.fromkeys(PredictionAnswer.__struct_fields__)
