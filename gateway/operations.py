"""Every call of the API as OpenAPI describes it: parameters, bodies, answers."""

from typing import Any

from pydantic import BaseModel

from gateway.call import LONGEST_TIMEOUT_MS, TIMEOUT_HEADER
from gateway.schemas import LARGEST_BATCH, CacheClearQuery, StocksQuery

Spec = dict[str, Any]

EXAMPLE_REQUEST = {
    "bse_code": "500325",
    "prediction_date": "2026-08-14",
    "include_features": False,
    "variant": "fp32",
}
EXAMPLE_ANSWER = {
    "bse_code": "500325",
    "nse_symbol": "RELIANCE",
    "prediction_date": "2026-08-14",
    "as_of": "2026-08-14",
    "predicted_label": 0,
    "probability": 0.0625,
    "confidence": "HIGH",
    "model_version": 1,
    "variant": "fp32",
    "cached": False,
    "prediction_timestamp": "2026-08-14T11:30:00.000000Z",
    "features": None,
    "shap_values": None,
}
_UNANSWERED = {
    **dict.fromkeys(EXAMPLE_ANSWER),
    "bse_code": "50032",
    "prediction_date": "2026-08-14",
    "error": {
        "code": "invalid_request",
        "message": "bse_code: String should match pattern '^[0-9]{6}$'",
    },
}

_RETRY_AFTER = {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}


def _ref(name: str) -> Spec:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(
    description: str,
    schema: Spec,
    *,
    media_type: str = "application/json",
    headers: Spec | None = None,
    example: Any = None,
) -> Spec:
    content: Spec = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {
        "description": description,
        "headers": {
            "X-Request-ID": {"$ref": "#/components/headers/RequestId"},
            "X-Process-Time": {"$ref": "#/components/headers/ProcessTime"},
            **(headers or {}),
        },
        "content": {media_type: content},
    }


def _problem(description: str, **more: Any) -> Spec:
    return _answer(description, _ref("Problem"), **more)


_UNAVAILABLE = _problem(
    "Busy, or without a model server that answers rightly; try again", headers=_RETRY_AFTER
)
_FAILED = _problem("An error that was not foreseen; the logs have it under the request's id")
_INVALID = _answer("The request breaks the contract", _ref("InvalidRequest"))


def _get(summary: str, tag: str, responses: Spec, **more: Any) -> Spec:
    return {"get": {"summary": summary, "tags": [tag], "responses": responses, **more}}


def _page(summary: str) -> Spec:
    page = _answer("A page for browsers", {"type": "string"}, media_type="text/html; charset=utf-8")
    return _get(summary, "pages", {"200": page})


def _prediction_call(summary: str, description: str, body: Spec, responses: Spec) -> Spec:
    return {
        "post": {
            "summary": summary,
            "description": description,
            "tags": ["predictions"],
            "parameters": [
                {
                    "name": TIMEOUT_HEADER,
                    "in": "header",
                    "required": False,
                    "description": "Milliseconds that the caller waits; default in the settings",
                    "schema": {"type": "integer", "minimum": 1, "maximum": LONGEST_TIMEOUT_MS},
                }
            ],
            "requestBody": {"required": True, "content": {"application/json": body}},
            "responses": {
                **responses,
                "413": _problem("The body is too large"),
                "415": _problem("The body is not said to be JSON"),
                "500": _FAILED,
                "503": _UNAVAILABLE,
                "504": _problem("There was no answer within the deadline"),
            },
        }
    }


def _admin_call(summary: str, description: str, method: str = "post", **more: Any) -> Spec:
    return {
        method: {
            "summary": summary,
            "description": description,
            "tags": ["models"],
            "security": [{"admin": []}],
            **more,
            "responses": {
                "200": _answer("Versions and variants afterwards", _ref("ModelsAnswer")),
                "401": _problem("No token was given"),
                "403": _problem("Another token, or there are no admin calls here"),
                "409": _problem("The change was refused; what served before serves on"),
                "500": _FAILED,
                **more.get("responses", {}),
            },
        }
    }


def _admin_calls() -> Spec:
    unknown = _problem("There is no such version")
    version = {
        "name": "version",
        "in": "path",
        "required": True,
        "description": "Number of a published version",
        "schema": {"type": "integer", "minimum": 1},
    }
    traffic = {"schema": _ref("TrafficRequest"), "example": {"candidate": 8, "share": 5.0}}
    return {
        "/api/v1/models/{version}/activate": _admin_call(
            "Make a version stable",
            "It is loaded and seen to answer first. The version before it stays loaded.",
            parameters=[version],
            responses={"404": unknown},
        ),
        "/api/v1/models/rollback": _admin_call(
            "Make the previous version stable again", "One step, and no load."
        ),
        "/api/v1/models/traffic": _admin_call(
            "Give a candidate a share of the stocks, or let it shadow them",
            "A stock keeps its version while the share stays. A null candidate ends it.",
            "put",
            requestBody={"required": True, "content": {"application/json": traffic}},
            responses={
                "404": unknown,
                "413": _problem("The body is too large"),
                "415": _problem("The body is not said to be JSON"),
                "422": _INVALID,
            },
        ),
        "/api/v1/models/reload": _admin_call(
            "Load what is newly published", "Kept for older clients; changes no label."
        ),
    }


def _cache_calls() -> Spec:
    return {
        "/api/v1/cache/clear": {
            "post": {
                "summary": "Forget cached values, in every replica",
                "description": "When this is answered, no replica answers from what was cleared, "
                "nor from what was being computed meanwhile.",
                "tags": ["cache"],
                "security": [{"admin": []}],
                "parameters": _query_parameters(CacheClearQuery),
                "responses": {
                    "200": _answer("What was forgotten", _ref("CacheClearedAnswer")),
                    "401": _problem("No token was given"),
                    "403": _problem("Another token, or there are no admin calls here"),
                    "422": _INVALID,
                    "500": _FAILED,
                },
            }
        },
        "/api/v1/cache/stats": _get(
            "Say how often the cache answered",
            "cache",
            {"200": _answer("Counts of this process", _ref("CacheStatsAnswer"))},
        ),
    }


def _query_parameters(query: type[BaseModel]) -> list[Spec]:
    described = query.model_json_schema()["properties"]
    parameters = []
    for name, schema in described.items():
        schema.pop("title")
        description = schema.pop("description")
        parameters.append(
            {"name": name, "in": "query", "description": description, "schema": schema}
        )
    return parameters


def paths() -> Spec:
    """The `paths` of the document."""
    exposition = _answer(
        "Metrics in Prometheus's text format",
        {"type": "string"},
        media_type="text/plain; version=0.0.4; charset=utf-8",
    )
    return {
        "/api/v1/predict": _prediction_call(
            "Predict one stock",
            "Will this stock close at its upper circuit on the day after `prediction_date`?",
            {"schema": _ref("PredictionRequest"), "example": EXAMPLE_REQUEST},
            {
                "200": _answer("A prediction", _ref("PredictionAnswer"), example=EXAMPLE_ANSWER),
                "404": _problem("No stock has this code"),
                "422": _answer(
                    "The request breaks the contract (a list), or the stock has too few price "
                    "rows, or the variant is not served (a sentence)",
                    {"anyOf": [_ref("InvalidRequest"), _ref("Problem")]},
                ),
            },
        ),
        "/api/v1/batch_predict": _prediction_call(
            f"Predict up to {LARGEST_BATCH} stocks",
            "One answer for each item, in the same order. An item that cannot be answered carries "
            "`error`; the others are answered.",
            {
                "schema": _ref("BatchRequest"),
                "example": {"predictions": [EXAMPLE_REQUEST, {"bse_code": "50032"}]},
            },
            {
                "200": _answer(
                    "Predictions and errors",
                    {"type": "array", "items": _ref("BatchItemAnswer")},
                    example=[{**EXAMPLE_ANSWER, "error": None}, _UNANSWERED],
                ),
                "422": _INVALID,
            },
        ),
        "/api/v1/stocks": _get(
            "List the stocks that can be asked for",
            "stocks",
            {"200": _answer("A page of stocks", _ref("StocksAnswer")), "422": _INVALID},
            parameters=_query_parameters(StocksQuery),
        ),
        "/api/v1/models": _get(
            "List model versions and variants",
            "models",
            {"200": _answer("Versions and variants", _ref("ModelsAnswer"))},
        ),
        **_admin_calls(),
        **_cache_calls(),
        "/api/v1/health": _get(
            "Say what works, component by component",
            "operation",
            {
                "200": _answer("Healthy or degraded", _ref("HealthAnswer")),
                "503": _answer("Unhealthy", _ref("HealthAnswer"), headers=_RETRY_AFTER),
            },
        ),
        "/live": _get(
            "Say that the process is alive",
            "operation",
            {"200": _answer("Alive", _ref("LiveAnswer"))},
        ),
        "/ready": _get(
            "Say whether predictions are answered rightly now",
            "operation",
            {
                "200": _answer("Ready", _ref("ReadyAnswer")),
                "503": _answer(
                    "Not ready, or about to stop", _ref("NotReadyAnswer"), headers=_RETRY_AFTER
                ),
            },
        ),
        "/metrics": _get("Metrics for Prometheus", "operation", {"200": exposition}),
        "/api/v1/metrics": _get("The same metrics", "operation", {"200": exposition}),
        "/openapi.json": _get(
            "This document",
            "pages",
            {"200": _answer("OpenAPI 3.1", {"type": "object"})},
        ),
        "/": _page("The console"),
        "/docs": _page("This API in Swagger UI"),
        "/redoc": _page("This API in ReDoc"),
    }
