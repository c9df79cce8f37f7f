"""Every call of the API as OpenAPI describes it: parameters, bodies, answers."""

from typing import Any

from pydantic import BaseModel

from gateway.api import answers
from gateway.api.call import LONGEST_TIMEOUT_MS, TIMEOUT_HEADER
from gateway.api.schemas import (
    LARGEST_BATCH,
    BatchRequest,
    CacheClearQuery,
    PredictionRequest,
    StocksQuery,
    TrafficRequest,
)
from gateway.metrics import CONTENT_TYPE

Spec = dict[str, Any]

_PROBLEMS = {
    401: "No token was given",
    403: "Another token, or there are no admin calls here",
    404: "There is no such stock or version",
    409: "The change was refused; what served before serves on",
    413: "The body is too large",
    415: "The body is not said to be JSON",
    422: "The request breaks the contract",
    500: "An error that was not foreseen; the logs have it under the request's id",
    503: "Busy, or without a model server that answers rightly; try again",
    504: "There was no answer within the deadline",
}
_BODY = (413, 415, 422)
_PREDICTION = (*_BODY, 500, 503, 504)
_ADMIN = (401, 403, 500)

_DEADLINE = {
    "name": TIMEOUT_HEADER,
    "in": "header",
    "description": "Milliseconds that the caller waits; default in the settings",
    "schema": {"type": "integer", "minimum": 1, "maximum": LONGEST_TIMEOUT_MS},
}
_VERSION = {
    "name": "version",
    "in": "path",
    "required": True,
    "description": "Number of a published version",
    "schema": {"type": "integer", "minimum": 1},
}


def ref(schema: type | str) -> Spec:
    """A reference to the schema of a request or an answer."""
    name = schema if isinstance(schema, str) else schema.__name__
    return {"$ref": f"#/components/schemas/{name}"}


def _response(status: int, description: str, schema: Spec, media_type: str) -> Spec:
    headers = ["X-Request-ID", "X-Process-Time", *(["Retry-After"] if status == 503 else [])]
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {media_type: {"schema": schema}},
    }


def _call(
    tag: str,
    summary: str,
    answer: type | Spec,
    *problems: int,
    others: dict[int, tuple[str, Spec]] | None = None,
    body: type[BaseModel] | None = None,
    media_type: str = "application/json",
    **more: Any,
) -> Spec:
    """One operation: answers 200 with `answer`, and `problems` and `others` by their statuses."""
    described = {200: ("The answer", ref(answer) if isinstance(answer, type) else answer)}
    for status in problems:
        schema = answers.InvalidRequest if status == 422 else answers.Problem
        described[status] = (_PROBLEMS[status], ref(schema))
    described |= others or {}
    if body is not None:
        content = {"application/json": {"schema": ref(body)}}
        more["requestBody"] = {"required": True, "content": content}
    if 401 in problems:
        more["security"] = [{"admin": []}]
    responses = {
        str(status): _response(status, description, schema, media_type)
        for status, (description, schema) in described.items()
    }
    return {"tags": [tag], "summary": summary, "responses": responses, **more}


def _query(model: type[BaseModel]) -> list[Spec]:
    properties = model.model_json_schema()["properties"]
    return [
        {"name": name, "in": "query", "description": schema.pop("description"), "schema": schema}
        for name, schema in properties.items()
    ]


def _page(summary: str) -> Spec:
    return _call("pages", summary, {"type": "string"}, media_type="text/html; charset=utf-8")


def _metrics(summary: str) -> Spec:
    return _call("operation", summary, {"type": "string"}, media_type=CONTENT_TYPE)


def paths() -> Spec:
    """The `paths` of the document."""
    unfit = "The request breaks the contract (a list), or the stock or variant cannot be answered"
    calls = {
        "post /api/v1/predict": _call(
            "predictions",
            "Predict one stock: will it close at its upper circuit on the day after the date?",
            answers.PredictionAnswer,
            *(404, *_PREDICTION),
            others={422: (unfit, {"anyOf": [ref(answers.InvalidRequest), ref(answers.Problem)]})},
            body=PredictionRequest,
            parameters=[_DEADLINE],
        ),
        "post /api/v1/batch_predict": _call(
            "predictions",
            f"Predict up to {LARGEST_BATCH} stocks: an answer for each, in the same order. An item "
            "that cannot be answered carries `error`; the others are answered",
            {"type": "array", "items": ref("BatchItemAnswer")},
            *_PREDICTION,
            body=BatchRequest,
            parameters=[_DEADLINE],
        ),
        "get /api/v1/stocks": _call(
            "stocks",
            "List the stocks that can be asked for",
            *(answers.StocksAnswer, 422),
            parameters=_query(StocksQuery),
        ),
        "get /api/v1/models": _call(
            "models", "List model versions and variants", answers.ModelsAnswer
        ),
        "post /api/v1/models/{version}/activate": _call(
            "models",
            "Make a version stable, once it is loaded and seen to answer",
            answers.ModelsAnswer,
            *(*_ADMIN, 404, 409),
            parameters=[_VERSION],
        ),
        "post /api/v1/models/rollback": _call(
            "models",
            "Make the previous version stable again: one step, and no load",
            answers.ModelsAnswer,
            *(*_ADMIN, 409),
        ),
        "put /api/v1/models/traffic": _call(
            "models",
            "Give a candidate a share of the stocks, or let it shadow them; null ends it. A stock "
            "keeps its version while the share stays",
            answers.ModelsAnswer,
            *(*_ADMIN, 404, 409, *_BODY),
            body=TrafficRequest,
        ),
        "post /api/v1/models/reload": _call(
            "models",
            "Load what is newly published (kept for older clients; changes no label)",
            answers.ModelsAnswer,
            *(*_ADMIN, 409),
        ),
        "post /api/v1/cache/clear": _call(
            "cache",
            "Forget cached values: afterwards no replica answers from them, nor from what was "
            "being computed meanwhile",
            answers.CacheClearedAnswer,
            *(*_ADMIN, 422),
            parameters=_query(CacheClearQuery),
        ),
        "get /api/v1/cache/stats": _call(
            "cache", "Say how often the cache of this process answered", answers.CacheStatsAnswer
        ),
        "get /api/v1/health": _call(
            "operation",
            "Say what works, component by component",
            answers.HealthAnswer,
            others={503: ("Unhealthy", ref(answers.HealthAnswer))},
        ),
        "get /live": _call("operation", "Say that the process is alive", answers.LiveAnswer),
        "get /ready": _call(
            "operation",
            "Say whether predictions are answered rightly now",
            answers.ReadyAnswer,
            others={503: ("Not ready, or about to stop", ref(answers.NotReadyAnswer))},
        ),
        "get /metrics": _metrics("Metrics for Prometheus"),
        "get /api/v1/metrics": _metrics("The same metrics"),
        "get /openapi.json": _call("pages", "This document", {"type": "object"}),
        "get /": _page("The console"),
        "get /docs": _page("This API in Swagger UI"),
        "get /redoc": _page("This API in ReDoc"),
    }
    found: Spec = {}
    for name, call in calls.items():
        method, path = name.split()
        found[path] = {method: call}
    return found
