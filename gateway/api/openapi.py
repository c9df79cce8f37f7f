"""The OpenAPI 3.1 document. `python -m gateway.api.openapi` prints it."""

import json
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, create_model
from pydantic.json_schema import JsonSchemaMode
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import answers
from gateway.api.operations import Spec, paths, ref
from gateway.api.responses import NOT_STORED
from gateway.api.schemas import BatchRequest, PredictionRequest, TrafficRequest
from preprocess.features.manifest import MANIFEST

API_VERSION = "1.0.0"

_DESCRIPTION = (
    "Upper-circuit predictions for the Bombay Stock Exchange: will a stock close locked at its "
    "upper circuit on the day after its quarterly results? Every answer is computed point in "
    "time, from prices and results that were known on the day that is asked about."
)
_REQUESTS = (PredictionRequest, BatchRequest, TrafficRequest)
# pydantic describes no structure of msgspec, but what has the same fields.
_FIELDS: dict[str, Any] = {
    name: (hint, ...)
    for name, hint in get_type_hints(answers.PredictionAnswer, include_extras=True).items()
}
_PREDICTION = create_model("PredictionAnswer", __doc__=answers.PredictionAnswer.__doc__, **_FIELDS)
_ANSWERS = (
    _PREDICTION,
    answers.ItemError,
    answers.Problem,
    answers.InvalidRequest,
    answers.StocksAnswer,
    answers.HealthAnswer,
    answers.LiveAnswer,
    answers.ReadyAnswer,
    answers.NotReadyAnswer,
    answers.ModelsAnswer,
    answers.CacheClearedAnswer,
    answers.CacheStatsAnswer,
)
_HEADERS = {
    "X-Request-ID": (
        "The caller's X-Request-ID if it is harmless, else one of our own",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    ),
    "X-Process-Time": ("Seconds that the answer took", {"type": "number", "minimum": 0}),
    "Retry-After": ("Seconds after which to try again", {"type": "integer", "minimum": 1}),
}


def build_document() -> Spec:
    """The whole document, made from the types that come in and go out."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tezi",
            "version": API_VERSION,
            "summary": "Upper-circuit predictions in milliseconds",
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "paths": paths(),
        "components": {
            "headers": {
                name: {"description": description, "required": True, "schema": schema}
                for name, (description, schema) in _HEADERS.items()
            },
            "schemas": _schemas(),
            "securitySchemes": {
                "admin": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The value of TEZI_ADMIN_TOKEN",
                }
            },
        },
    }


def _schemas() -> Spec:
    requests, answered = _defined("validation", _REQUESTS), _defined("serialization", _ANSWERS)
    answered["Features"] = {
        "title": "Features",
        "description": "The 25 features in the order of the manifest; null where missing",
        "type": "object",
        "properties": {
            feature.name: {
                "type": ["number", "null"],
                "description": f"{feature.meaning} ({feature.unit})",
            }
            for feature in MANIFEST
        },
    }
    answered["BatchItemAnswer"] = {
        "title": "BatchItemAnswer",
        "description": "A prediction with `error` null, or an `error` and nulls.",
        "type": "object",
        "properties": {
            **{
                name: {"anyOf": [schema, {"type": "null"}]}
                for name, schema in answered["PredictionAnswer"]["properties"].items()
            },
            # As requested, if they are strings: wrong ones come back with an error.
            "bse_code": {"type": ["string", "null"]},
            "prediction_date": {"type": ["string", "null"]},
            "error": {"anyOf": [ref(answers.ItemError), {"type": "null"}]},
        },
    }
    for schema in answered.values():
        if "properties" in schema:  # every key is always there, and no other
            schema |= {"required": [*schema["properties"]], "additionalProperties": False}
    # Items are judged one by one, so a wrong one does not make the batch wrong; right ones are so.
    requests["BatchRequest"]["properties"]["predictions"]["items"] = {
        "anyOf": [ref(PredictionRequest), {}]
    }
    return {**requests, **answered}


def _defined(mode: JsonSchemaMode, kinds: Sequence[type]) -> Spec:
    adapters: list[tuple[type, JsonSchemaMode, TypeAdapter[Any]]] = [
        (kind, mode, TypeAdapter(kind)) for kind in kinds
    ]
    _, found = TypeAdapter.json_schemas(adapters, ref_template="#/components/schemas/{model}")
    definitions: Spec = found["$defs"]
    return definitions


def printed(document: Spec) -> str:
    """The document as it lies in docs/openapi.json."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@cache
def _served() -> bytes:
    return json.dumps(build_document()).encode()


async def openapi_endpoint(_: Request) -> Response:
    """GET /openapi.json"""
    return Response(_served(), headers=NOT_STORED, media_type="application/json")


if __name__ == "__main__":
    sys.stdout.write(printed(build_document()))
