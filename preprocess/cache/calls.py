"""Keys of cached function calls: the same for the same call in every process."""

import hashlib
import inspect
import math
import secrets
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from preprocess.errors import CacheError


class CallKeys:
    """The keys of one function's calls: f(1), f(x=1) and, if 1 is the default, f() are one.

    A function that captures variables, or has no name, is told from its namesakes only inside
    the process, by the decoration: what it computes is shared with nobody else.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._signature = inspect.signature(function)
        captures = getattr(function, "__closure__", None) or "<lambda>" in self._name
        self._salt = secrets.token_hex(8) if captures else ""

    def key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """`call:{function}:{hash of the arguments}`.

        Raises:
            TypeError: the function takes no such arguments.
            CacheError: an argument is of a type that has no canonical form.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        parts = [self._salt]
        for name, value in bound.arguments.items():
            try:
                parts.append([name, _canonical(value)])  # type: ignore[arg-type]  # packed as it is
            except CacheError as error:
                raise CacheError(
                    f"A call of {self._name}() cannot be cached: argument {name!r} {error}. Pass "
                    "numbers, text, days, enumerations, or lists, tuples, sets and dicts of them."
                ) from None
        digest = hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()
        return f"call:{self._name}:{digest}"


def _canonical(value: object) -> list[object]:  # noqa: PLR0911 - one line a type
    """A value so that 1, "1", 1.0, True and a list or tuple of them all differ."""
    # In this order: an Enum may be an int, a bool is one, and a datetime is a date.
    if value is None:
        return ["null"]
    if isinstance(value, Enum):
        kind = type(value)
        return ["enum", f"{kind.__module__}.{kind.__qualname__}", value.name]
    if type(value) in (bool, int, str):
        return [type(value).__name__, str(value)]
    if type(value) is float:
        return ["float", "nan" if math.isnan(value) else value.hex()]
    if type(value) is bytes:
        return ["bytes", value.hex()]
    if isinstance(value, datetime | date):
        return [type(value).__name__, value.isoformat()]
    if isinstance(value, Decimal):
        return ["decimal", str(value)]
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return [type(value).__name__, *map(_canonical, value)]
    if isinstance(value, set | frozenset):
        return ["set", *sorted(map(_canonical, value), key=msgspec.msgpack.encode)]
    if isinstance(value, dict) and type(value) is dict:
        pairs = [[_canonical(name), _canonical(held)] for name, held in value.items()]
        return ["dict", *sorted(pairs, key=msgspec.msgpack.encode)]
    raise CacheError(f"is a {type(value).__name__}, which has no form that all processes share")
