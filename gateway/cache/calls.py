"""Keys of cached function calls: the same for the same call in every process."""

import hashlib
import inspect
import secrets
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from preprocess.errors import CacheError


class CallKeys:
    """The keys of one function's calls: f(1), f(x=1) and, if 1 is the default, f() are one.

    A function that captures variables, or has no name, gets a random part in its keys: its
    results are not shared with other processes or other decorations.
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


def _canonical(value: object) -> list[object]:
    """A value so that 1, "1", 1.0, True and a list or tuple of them all differ."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str, bytes, Decimal):
        return [kind.__name__, repr(value)]
    if isinstance(value, Enum):
        return ["enum", f"{kind.__module__}.{kind.__qualname__}", value.name]
    if isinstance(value, date):  # a datetime is one
        return [kind.__name__, value.isoformat()]
    if isinstance(value, list | tuple) and kind in (list, tuple):
        return [kind.__name__, *map(_canonical, value)]
    if isinstance(value, set | frozenset):
        return ["set", *sorted(map(_canonical, value), key=msgspec.msgpack.encode)]
    if isinstance(value, dict) and kind is dict:
        pairs = [[_canonical(name), _canonical(item)] for name, item in value.items()]
        return ["dict", *sorted(pairs, key=msgspec.msgpack.encode)]
    raise CacheError(f"is a {kind.__name__}, which has no form that all processes share")
