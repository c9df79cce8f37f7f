"""The table that maps errors to HTTP responses, with the messages that clients read."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.api.responses import REASON_KEY, JSONAnswer
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
    ReadOnlyError,
    SlowBodyError,
    StoreUnavailableError,
    UnknownVersionError,
    VariantUnavailableError,
)

RETRY_AFTER = {"retry-after": "1"}
_CALLER_GONE = 499  # the status nginx logs for it; nobody reads the response

# Their messages are for the caller.
_FOR_CALLERS: Mapping[type[GatewayError], int] = {
    UnknownVersionError: 404,
    ChangeRefusedError: 409,
    ReadOnlyError: 503,
}
# The first class that matches decides.
_ERRORS: Mapping[type[GatewayError], tuple[int, str, Mapping[str, str]]] = {
    MediaTypeError: (415, "The body must be application/json, and not compressed", {}),
    NotAuthenticatedError: (
        401,
        "This call needs the admin token: Authorization: Bearer TOKEN",
        {"www-authenticate": "Bearer"},
    ),
    NotAllowedError: (403, "This call is for administrators; see TEZI_ADMIN_TOKENS_FILE", {}),
    SlowBodyError: (408, "The body did not arrive in time", {"connection": "close"}),
    DeadlineExceededError: (504, "There was no answer in time", {}),
    PredictorOverloadedError: (503, "The service is busy; try again", RETRY_AFTER),
    StoreUnavailableError: (503, "The market database cannot be read; try again", RETRY_AFTER),
    GpuAbsentError: (
        503,
        "The variant gpu needs a GPU, and there is none here; request fp32 or int8",
        {"retry-after": "3600"},
    ),
    VariantUnavailableError: (503, "This variant is not being served; try again", RETRY_AFTER),
    PredictorError: (503, "The service cannot answer now; try again", RETRY_AFTER),
    CallerGoneError: (_CALLER_GONE, "The caller hung up", {}),
}


async def on_gateway_error(request: Request, error: Exception) -> Response:
    """The response to one of our own errors; the message of the error goes to the log."""
    request.scope[REASON_KEY] = str(error)
    for kind, status in _FOR_CALLERS.items():
        if isinstance(error, kind):
            request.scope[REASON_KEY] = str(error.__cause__ or error)
            later = {"retry-after": "60"} if status == 503 else None
            return JSONAnswer({"detail": str(error)}, status, later)
    if isinstance(error, InvalidRequestError):
        return JSONAnswer({"detail": error.detail}, 422)
    for kind, (status, detail, headers) in _ERRORS.items():
        if isinstance(error, kind):
            return JSONAnswer({"detail": detail}, status, headers)
    raise error


async def on_http_exception(_: Request, error: Exception) -> Response:
    """The response to unknown paths and methods, which the router rejects."""
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return JSONAnswer({"detail": error.detail}, error.status_code, headers)
