"""POST /api/v1/predict and POST /api/v1/batch_predict."""

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.api.answers import Code, PredictionAnswer
from gateway.api.call import read_body, require_json, timeout_of
from gateway.api.deadline import Patience
from gateway.api.outcome import Outcome, Refusal
from gateway.api.predictions import Predictions
from gateway.api.problems import refusal_answer
from gateway.api.responses import JSONAnswer
from gateway.api.schemas import BatchRequest, PredictionRequest
from gateway.api.validation import parse_json, validated
from gateway.errors import InvalidRequestError


class PredictEndpoint:
    """One stock. An ASGI application of its own: a Request object would cost more than parsing."""

    def __init__(self, predictions: Predictions, *, default_timeout_ms: int) -> None:
        """`default_timeout_ms` holds for callers that name no deadline."""
        self._predictions = predictions
        self._default_timeout_ms = default_timeout_ms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, validate, predict, answer, all before the deadline."""
        require_json(scope)
        with Patience(timeout_of(scope, self._default_timeout_ms)) as patience:
            body = await read_body(receive)
            patience.listen(receive)
            response = await self._answer(body, patience)
        await response(scope, receive, send)

    async def _answer(self, body: bytes, patience: Patience) -> Response:
        request = validated(PredictionRequest, parse_json(body), "body")
        outcome = await self._predictions.predict(request, patience.remaining_s)
        if isinstance(outcome, Refusal):
            return refusal_answer(request, outcome)
        return JSONAnswer(outcome)


class BatchPredictEndpoint(PredictEndpoint):
    """Up to 100 stocks. An item that cannot be answered fails alone."""

    async def _answer(self, body: bytes, patience: Patience) -> Response:
        items = validated(BatchRequest, parse_json(body), "body").predictions
        requests: dict[int, PredictionRequest] = {}
        answers: list[dict[str, Any] | None] = [None] * len(items)
        for place, item in enumerate(items):
            try:
                requests[place] = validated(PredictionRequest, item)
            except InvalidRequestError as error:
                answers[place] = _refused(item, Code.INVALID_REQUEST, _in_words(error))
        outcomes = await self._predictions.predict_batch(
            list(requests.values()), patience.remaining_s
        )
        for place, outcome in zip(requests, outcomes, strict=True):
            answers[place] = _item(items[place], outcome)
        return JSONAnswer(answers)


def _item(item: Any, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Refusal):
        return _refused(item, outcome.code, outcome.message)
    return {**msgspec.structs.asdict(outcome), "error": None}


def _refused(item: Any, code: Code, message: str) -> dict[str, Any]:
    given = item if isinstance(item, dict) else {}
    echoed = {
        key: given[key]
        for key in ("bse_code", "prediction_date")
        if isinstance(given.get(key), str)
    }
    return {**_NOTHING, **echoed, "error": {"code": code, "message": message}}


def _in_words(error: InvalidRequestError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, entry['loc'])) or 'item'}: {entry['msg']}" for entry in error.detail
    )


_NOTHING: dict[str, Any] = dict.fromkeys(PredictionAnswer.__struct_fields__)
