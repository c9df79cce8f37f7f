"""The one table from errors to HTTP answers, and the words that clients read."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.answers import Code
from gateway.api.outcome import Refusal
from gateway.api.responses import REASON_KEY, JSONAnswer
from gateway.api.schemas import PredictionRequest
from gateway.api.validation import problem
from gateway.errors import (
    CallerGoneError,
    ChangeRefusedError,
    DeadlineExceededError,
    GatewayError,
    GpuAbsentError,
    InvalidRequestError,
    MediaTypeError,
    NotAllowedError,
    NotAuthenticatedError,
    PredictorError,
    PredictorOverloadedError,
    StoreUnavailableError,
    UnknownVersionError,
    VariantUnavailableError,
)

RETRY_AFTER = {"retry-after": "1"}
GPU_ABSENT = "The variant gpu needs a GPU, and there is none here; ask for fp32 or int8"

_CALLER_GONE = 499  # as nginx logs it; nobody reads the answer

# The first class that an error is an instance of gives the answer.
_ERRORS: Mapping[type[GatewayError], tuple[int, str, Mapping[str, str]]] = {
    MediaTypeError: (415, "The body must be application/json, and not compressed", {}),
    NotAuthenticatedError: (
        401,
        "This call needs the admin token: Authorization: Bearer TOKEN",
        {"www-authenticate": "Bearer"},
    ),
    NotAllowedError: (403, "This call is for administrators; see TEZI_ADMIN_TOKEN", {}),
    DeadlineExceededError: (504, "There was no answer in time", {}),
    PredictorOverloadedError: (503, "The service is busy; try again", RETRY_AFTER),
    StoreUnavailableError: (503, "The market database cannot be read; try again", RETRY_AFTER),
    GpuAbsentError: (503, GPU_ABSENT, {"retry-after": "3600"}),
    VariantUnavailableError: (503, "This variant is not being served; try again", RETRY_AFTER),
    PredictorError: (503, "The service cannot answer now; try again", RETRY_AFTER),
    CallerGoneError: (_CALLER_GONE, "The caller hung up", {}),
}


async def on_gateway_error(request: Request, error: Exception) -> Response:
    """The answer to an error of our own tree; its own message goes to the log."""
    request.scope[REASON_KEY] = str(error)
    if isinstance(error, UnknownVersionError):
        return JSONAnswer({"detail": str(error)}, 404)
    if isinstance(error, ChangeRefusedError):
        request.scope[REASON_KEY] = str(error.__cause__ or error)
        return JSONAnswer({"detail": str(error)}, 409)
    if isinstance(error, InvalidRequestError):
        return JSONAnswer({"detail": error.detail}, 422)
    for kind, (status, detail, headers) in _ERRORS.items():
        if isinstance(error, kind):
            return JSONAnswer({"detail": detail}, status, headers)
    raise error


async def on_http_exception(_: Request, error: Exception) -> Response:
    """The answer to what the router refuses: unknown paths and methods."""
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return JSONAnswer({"detail": error.detail}, error.status_code, headers)


def refusal_answer(request: PredictionRequest, refusal: Refusal) -> Response:
    """The answer to a single prediction that is refused."""
    match refusal.code:
        case Code.UNKNOWN_STOCK:
            return JSONAnswer({"detail": refusal.message}, 404)
        case Code.FUTURE_DATE:
            entry = problem(
                "date_in_future",
                ["body", "prediction_date"],
                refusal.message,
                request.prediction_date,
            )
            return JSONAnswer({"detail": [entry]}, 422)
        case _:
            return JSONAnswer({"detail": refusal.message}, 422)
