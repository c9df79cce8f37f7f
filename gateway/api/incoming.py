"""From what a caller sends to validated values, or to the list of what is wrong with it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.types import Receive, Scope

from gateway.errors import CallerGoneError, InvalidRequestError, MediaTypeError

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
LONGEST_TIMEOUT_MS = 60_000

_Model = TypeVar("_Model", bound=BaseModel)

# Limits of what is echoed to the caller.
_LONGEST_TEXT = 200
_MOST_ELEMENTS = 8
_DEEPEST = 3
_LARGEST_INTEGER = 2**53

# int() takes blanks, underscores and other scripts' digits, and refuses 4,301 digits with an error.
_WHOLE_NUMBER = re.compile("-?[0-9]{1,18}")


def whole_number(text: str) -> int | None:
    """A number that a caller wrote in at most 18 decimal digits; None if it is anything else."""
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else None


def timeout_of(scope: Scope, default_ms: int) -> float:
    """Seconds that the caller is willing to wait.

    Raises:
        InvalidRequestError: the header is not a whole number from 1 to 60000.
    """
    for name, value in scope["headers"]:
        if name == b"x-request-timeout-ms":
            given = value.decode("latin-1")
            milliseconds = whole_number(given)
            if milliseconds is not None and 1 <= milliseconds <= LONGEST_TIMEOUT_MS:
                return milliseconds / 1e3
            message = f"{TIMEOUT_HEADER} should be a whole number from 1 to {LONGEST_TIMEOUT_MS}"
            entry = problem("timeout_invalid", ["header", TIMEOUT_HEADER], message, given)
            raise InvalidRequestError([entry])
    return default_ms / 1e3


def require_json(scope: Scope) -> None:
    """Accept application/json, any +json type, and a missing content type.

    Raises:
        MediaTypeError: the body is something else, or compressed.
    """
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
            if media_type not in (b"application/json", b"") and not media_type.endswith(b"+json"):
                raise MediaTypeError(media_type.decode("latin-1"))
        elif name == b"content-encoding" and value.strip().lower() not in (b"identity", b""):
            raise MediaTypeError(value.decode("latin-1"))


async def read_body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        CallerGoneError: the caller hung up before the body was complete.
    """
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGoneError("the caller hung up before the body was complete")
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunks[0]


def parse_json(body: bytes) -> Any:
    """The JSON document of a body.

    Raises:
        InvalidRequestError: the body is not JSON. NaN, lone surrogates and nesting beyond the
            parser's limit count as invalid too.
    """
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        text = body[: 2 * _LONGEST_TEXT].decode(errors="replace")
        raise InvalidRequestError(
            [problem("json_invalid", ["body"], f"Invalid JSON: {error}", text)]
        ) from None


def validated(model: type[_Model], given: Any, *location: str) -> _Model:
    """`given` as a `model`.

    Raises:
        InvalidRequestError: lists every problem; each `loc` begins with `location`.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InvalidRequestError(
            [
                problem(
                    entry["type"],
                    [*location, *entry["loc"]],
                    # pydantic's message names its own classes here
                    "Input should be an object" if entry["type"] == "model_type" else entry["msg"],
                    entry["input"],
                )
                for entry in error.errors(include_url=False, include_context=False)
            ]
        ) from None


def problem(kind: str, location: Sequence[str | int], message: str, given: Any) -> dict[str, Any]:
    """One entry in the `detail` of a 422."""
    return {"type": kind, "loc": list(location), "msg": message, "input": echo(given)}


def echo(value: Any, depth: int = 0) -> Any:
    """A caller's value, shortened, and made of JSON types only."""
    match value:
        case None | bool() | float():
            return value
        case int():
            return value if abs(value) <= _LARGEST_INTEGER else "a very large number"
        case str():
            return value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}…"
        case Mapping() if depth < _DEEPEST:
            shown = list(value.items())[:_MOST_ELEMENTS]
            return {str(echo(name)): echo(inner, depth + 1) for name, inner in shown}
        case list() if depth < _DEEPEST:
            return [echo(inner, depth + 1) for inner in value[:_MOST_ELEMENTS]]
        case _:
            return "…"
