"""Every call of the API, as the OpenAPI document describes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from gateway.api import answers
from gateway.api.incoming import LONGEST_TIMEOUT_MS, TIMEOUT_HEADER
from gateway.api.schemas import (
    LARGEST_BATCH,
    AnnouncementsQuery,
    BatchRequest,
    CacheClearQuery,
    PredictionRequest,
    StocksQuery,
    TrafficRequest,
)
from gateway.metrics import CONTENT_TYPE

Spec = dict[str, Any]
Content = type | Spec
"""A type whose schema is made from its fields, or a schema."""

PROBLEMS = {
    401: "No token was given",
    403: "The token is wrong, or admin calls are disabled",
    404: "There is no such stock or version",
    408: "The body did not arrive before the deadline",
    409: "The change was refused, or could not be completed; the answer says which",
    413: "The body is too large",
    415: "The content type of the body is not JSON",
    422: "The request is invalid",
    500: "An unexpected error; the log has it under the request's id",
    503: "Busy, no model server gives correct answers, or the disk cannot be written; try again",
    504: "There was no answer before the deadline",
}
_PREDICTION = (408, 500, 503, 504)

_DEADLINE = {
    "name": TIMEOUT_HEADER,
    "in": "header",
    "description": "Milliseconds the caller waits; the default is a setting",
    "schema": {"type": "integer", "minimum": 1, "maximum": LONGEST_TIMEOUT_MS},
}
_VERSION = {
    "name": "version",
    "in": "path",
    "required": True,
    "description": "Number of a published version",
    "schema": {"type": "integer", "minimum": 1},
}


@dataclass(frozen=True)
class Operation:
    """One call: `answer` is its 200, `problems` and `others` are its further statuses.

    The statuses that a body, a query or the admin token bring along are added to these.
    """

    tag: str
    summary: str
    answer: Content
    problems: tuple[int, ...] = ()
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    parameters: tuple[Spec, ...] = ()
    admin: bool = False
    others: Mapping[int, tuple[str, *tuple[type, ...]]] = field(default_factory=dict)
    media_type: str = "application/json"

    @property
    def statuses(self) -> list[int]:
        """Every status whose body is a problem."""
        found = set(self.problems)
        if self.body is not None:
            found |= {413, 415, 422}
        if self.query is not None:
            found.add(422)
        if self.admin:
            found |= {401, 403, 500, 503}
        return sorted(found)


def _change(summary: str, problems: tuple[int, ...] = (409,), **more: Any) -> Operation:
    """A change of the versions' labels."""
    later = {202: ("Still being made: GET /api/v1/models shows when it is done", answers.Problem)}
    return Operation(
        "models", summary, answers.ModelsAnswer, problems, admin=True, others=later, **more
    )


_METRICS = Operation(
    "operation", "Metrics for Prometheus", {"type": "string"}, media_type=CONTENT_TYPE
)

OPERATIONS: dict[str, Operation] = {
    "post /api/v1/predict": Operation(
        "predictions",
        "Predict one stock: will it close at its upper circuit on the day after the date?",
        answers.PredictionAnswer,
        (404, *_PREDICTION),
        body=PredictionRequest,
        parameters=(_DEADLINE,),
        others={
            422: ("Invalid, or it cannot be predicted", answers.InvalidRequest, answers.Problem)
        },
    ),
    "post /api/v1/batch_predict": Operation(
        "predictions",
        f"Predict up to {LARGEST_BATCH} stocks, in the same order; each item fails alone",
        {"type": "array", "items": {"$ref": "#/components/schemas/BatchItemAnswer"}},
        _PREDICTION,
        body=BatchRequest,
        parameters=(_DEADLINE,),
    ),
    "get /api/v1/stocks": Operation(
        "stocks", "List the stocks that can be predicted", answers.StocksAnswer, query=StocksQuery
    ),
    "get /api/v1/announcements": Operation(
        "stocks",
        "List the stocks that announced results on a day, with their predictions",
        answers.AnnouncementsAnswer,
        _PREDICTION,
        query=AnnouncementsQuery,
        parameters=(_DEADLINE,),
    ),
    "get /api/v1/models": Operation(
        "models", "List model versions and variants", answers.ModelsAnswer
    ),
    "post /api/v1/models/{version}/activate": _change(
        "Make a version stable, once it is loaded and its answers are verified",
        (404, 409),
        parameters=(_VERSION,),
    ),
    "post /api/v1/models/rollback": _change("Make the previous version stable again, at once"),
    "put /api/v1/models/traffic": _change(
        "Send a share of the stocks to a candidate, or let it shadow them; null ends it",
        (404, 409),
        body=TrafficRequest,
    ),
    "post /api/v1/models/reload": _change("Load newly published versions (for older clients)"),
    "post /api/v1/cache/clear": Operation(
        "cache",
        "Clear cached values in every replica",
        answers.CacheClearedAnswer,
        query=CacheClearQuery,
        admin=True,
    ),
    "get /api/v1/cache/stats": Operation(
        "cache", "Hits and misses of this process's cache", answers.CacheStatsAnswer
    ),
    "get /api/v1/health": Operation(
        "operation",
        "Health of the service and of each component",
        answers.HealthAnswer,
        others={503: ("Unhealthy", answers.HealthAnswer)},
    ),
    "get /live": Operation("operation", "Whether the process is alive", answers.LiveAnswer),
    "get /ready": Operation(
        "operation",
        "Whether predictions are answered correctly now",
        answers.ReadyAnswer,
        others={503: ("Not ready, or about to stop", answers.NotReadyAnswer)},
    ),
    "get /metrics": _METRICS,
    "get /api/v1/metrics": _METRICS,
}
"""By method and path. Pages for browsers, and this document itself, are not listed."""
