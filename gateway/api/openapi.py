"""The OpenAPI 3.1 document. `python -m gateway.api.openapi` prints it."""

import json
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter, create_model
from pydantic.json_schema import JsonSchemaMode
from starlette.requests import Request
from starlette.responses import Response

from gateway.api import answers
from gateway.api.middleware.read_key import HEADER
from gateway.api.operations import OPERATIONS, PROBLEMS, Content, Operation, Spec
from gateway.api.responses import NOT_STORED
from gateway.api.schemas import PredictionRequest
from preprocess.features.manifest import MANIFEST

API_VERSION = "1.0.0"

_DESCRIPTION = (
    "Will a stock of the Bombay Stock Exchange close locked at its upper circuit on the day after "
    "its quarterly results? Every answer uses only what was known on the requested day."
)
_HEADERS = {
    "X-Request-ID": (
        "The caller's X-Request-ID if it is harmless, else a generated one",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    ),
    "X-Process-Time": ("Seconds the answer took", {"type": "number", "minimum": 0}),
    "Retry-After": ("Seconds after which to try again", {"type": "integer", "minimum": 1}),
}


def build_document() -> Spec:
    """The whole document, made from the types of requests and answers."""
    paths: Spec = {}
    for name, operation in OPERATIONS.items():
        method, path = name.split()
        paths[path] = {method: _described(operation)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tezi",
            "version": API_VERSION,
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"read": []}],
        "paths": paths,
        "components": {
            "headers": {
                name: {"description": description, "required": True, "schema": schema}
                for name, (description, schema) in _HEADERS.items()
            },
            "schemas": _schemas(),
            "securitySchemes": {
                "admin": {"type": "http", "scheme": "bearer"},
                "read": {"type": "apiKey", "in": "header", "name": HEADER},
            },
        },
    }


def _ref(kind: type) -> Spec:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _described(operation: Operation) -> Spec:
    bodies: dict[int, tuple[str, Content]] = {200: ("The answer", operation.answer)}
    for status in operation.statuses:
        kind = answers.InvalidRequest if status == 422 else answers.Problem
        bodies[status] = PROBLEMS[status], kind
    for status, (description, *kinds) in operation.others.items():
        bodies[status] = description, {"anyOf": [_ref(kind) for kind in kinds]}
    described: Spec = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [*operation.parameters, *_query_parameters(operation.query)],
        "responses": {
            str(status): {
                "description": description,
                "headers": {
                    name: {"$ref": f"#/components/headers/{name}"}
                    for name in _HEADERS
                    if name != "Retry-After" or status == 503
                },
                "content": {
                    operation.media_type: {
                        "schema": _ref(content) if isinstance(content, type) else content
                    }
                },
            }
            for status, (description, content) in bodies.items()
        },
    }
    if operation.body is not None:
        content = {"application/json": {"schema": _ref(operation.body)}}
        described["requestBody"] = {"required": True, "content": content}
    if operation.admin:
        described["security"] = [{"admin": []}]
    return described


def _query_parameters(model: type[BaseModel] | None) -> list[Spec]:
    properties = model.model_json_schema()["properties"] if model else {}
    return [
        {"name": name, "in": "query", "description": schema.pop("description"), "schema": schema}
        for name, schema in properties.items()
    ]


def _schemas() -> Spec:
    operations = OPERATIONS.values()
    bodies = {PredictionRequest, *(operation.body for operation in operations if operation.body)}
    sent: set[type] = {answers.Problem, answers.InvalidRequest, answers.ItemError}
    for operation in operations:
        sent |= {kind for _, *kinds in operation.others.values() for kind in kinds}
        if isinstance(operation.answer, type):
            sent.add(operation.answer)
    # pydantic cannot describe a msgspec structure, but it can describe a model of the same fields.
    sent.remove(answers.PredictionAnswer)
    hints = get_type_hints(answers.PredictionAnswer, include_extras=True)
    fields: dict[str, Any] = {name: (hint, ...) for name, hint in hints.items()}
    sent.add(create_model("PredictionAnswer", __doc__=answers.PredictionAnswer.__doc__, **fields))
    requests, answered = _defined("validation", bodies), _defined("serialization", sent)
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
            # Echoed if they are strings: invalid ones come back with an error.
            "bse_code": {"type": ["string", "null"]},
            "prediction_date": {"type": ["string", "null"]},
            "error": {"anyOf": [_ref(answers.ItemError), {"type": "null"}]},
        },
    }
    for schema in answered.values():
        if "properties" in schema:  # every key is always present, and there are no others
            schema |= {"required": [*schema["properties"]], "additionalProperties": False}
    # An invalid item fails alone: it does not make its batch invalid.
    requests["BatchRequest"]["properties"]["predictions"]["items"] = {
        "anyOf": [_ref(PredictionRequest), {}]
    }
    return {**requests, **answered}


def _defined(mode: JsonSchemaMode, kinds: set[Any]) -> Spec:
    adapters = [(kind.__name__, mode, TypeAdapter(kind)) for kind in kinds]
    _, found = TypeAdapter.json_schemas(adapters, ref_template="#/components/schemas/{model}")
    definitions: Spec = found["$defs"]
    return definitions


@cache
def _served() -> bytes:
    return json.dumps(build_document()).encode()


async def openapi_endpoint(_: Request) -> Response:
    """GET /openapi.json"""
    return Response(_served(), headers=NOT_STORED, media_type="application/json")


if __name__ == "__main__":
    print(json.dumps(build_document(), indent=2, sort_keys=True, ensure_ascii=False))  # noqa: T201
