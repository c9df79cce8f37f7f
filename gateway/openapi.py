"""The OpenAPI 3.1 document. `python -m gateway.openapi` prints it."""

import json
import sys
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from gateway.documents import DOCUMENTS
from gateway.operations import paths
from gateway.responses import NOT_STORED
from gateway.schemas import BatchRequest, PredictionRequest, TrafficRequest
from preprocess.features.manifest import MANIFEST

API_VERSION = "1.0.0"

_DESCRIPTION = (
    "Upper-circuit predictions for the Bombay Stock Exchange: will a stock close locked at its "
    "upper circuit on the day after its quarterly results? Every answer is computed point in "
    "time, from prices and results that were known on the day that is asked about."
)


def build_document() -> dict[str, Any]:
    """The whole document, made from the schemas that the service checks by."""
    _, definitions = models_json_schema(
        [
            (PredictionRequest, "validation"),
            (BatchRequest, "validation"),
            (TrafficRequest, "validation"),
            *((model, "serialization") for model in DOCUMENTS),
        ],
        ref_template="#/components/schemas/{model}",
    )
    schemas = definitions["$defs"]
    # Items are judged one by one, so a wrong one does not make the batch wrong; right ones are so.
    schemas["BatchRequest"]["properties"]["predictions"]["items"] = {
        "anyOf": [{"$ref": "#/components/schemas/PredictionRequest"}, {}]
    }
    schemas["Features"] = _features()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tezi",
            "version": API_VERSION,
            "summary": "Upper-circuit predictions in milliseconds",
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "predictions", "description": "Ask for one stock or many"},
            {"name": "stocks", "description": "What can be asked for"},
            {"name": "models", "description": "What answers"},
            {"name": "cache", "description": "What is not computed again"},
            {"name": "operation", "description": "For orchestrators and monitoring"},
            {"name": "pages", "description": "For browsers"},
        ],
        "paths": paths(),
        "components": {
            "headers": _headers(),
            "schemas": schemas,
            "securitySchemes": {
                "admin": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The value of TEZI_ADMIN_TOKEN",
                }
            },
        },
    }


def _features() -> dict[str, Any]:
    return {
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
        "required": [feature.name for feature in MANIFEST],
        "additionalProperties": False,
    }


def _headers() -> dict[str, Any]:
    return {
        "RequestId": {
            "description": "The caller's X-Request-ID if it is harmless, else one of our own",
            "required": True,
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
        },
        "ProcessTime": {
            "description": "Seconds that the answer took",
            "required": True,
            "schema": {"type": "number", "minimum": 0},
        },
        "RetryAfter": {
            "description": "Seconds after which to try again",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
        },
    }


def printed(document: dict[str, Any]) -> str:
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
