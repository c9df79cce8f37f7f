"""From bytes and strings to validated values, or to a list of what is wrong with them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from gateway.errors import InvalidRequestError

_Model = TypeVar("_Model", bound=BaseModel)

Place = Sequence[str | int]

_LONGEST_TEXT = 200
_MOST_ELEMENTS = 8
_DEEPEST = 3
_LARGEST_INTEGER = 2**53


def problem(kind: str, place: Place, message: str, given: Any) -> dict[str, Any]:
    """One entry of a 422 answer's detail."""
    return {"type": kind, "loc": list(place), "msg": message, "input": echo(given)}


def parse_json(body: bytes) -> Any:
    """The JSON document of a body.

    Raises:
        InvalidRequestError: it is none (NaN, lone surrogates and bottomless nesting included).
    """
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        text = body[: 2 * _LONGEST_TEXT].decode(errors="replace")
        raise InvalidRequestError(
            [problem("json_invalid", ["body"], f"Invalid JSON: {error}", text)]
        ) from None


def validated(model: type[_Model], given: Any, *place: str) -> _Model:
    """`given` as a `model`.

    Raises:
        InvalidRequestError: names every problem, each `loc` beginning with `place`.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise InvalidRequestError(
            [
                problem(
                    entry["type"],
                    [*place, *entry["loc"]],
                    # pydantic speaks of its own classes here
                    "Input should be an object" if entry["type"] == "model_type" else entry["msg"],
                    entry["input"],
                )
                for entry in error.errors(include_url=False, include_context=False)
            ]
        ) from None


def echo(value: Any, depth: int = 0) -> Any:
    """A caller's value, short enough to send back and of nothing but JSON."""
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
