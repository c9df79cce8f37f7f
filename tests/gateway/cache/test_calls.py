"""Keys of function calls, and the decorator."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest

from gateway.cache.cache_manager import CacheManager
from gateway.cache.calls import CallKeys
from preprocess.errors import CacheError
from tests.gateway.cache.conftest import quick
from tests.paths import PROJECT_ROOT


def plain(a: Any, b: Any = 1, *rest: Any, c: Any = None, **more: Any) -> Any:
    return (a, b, rest, c, more)


class Side(IntEnum):
    LEFT = 1


def key(*args: Any, **kwargs: Any) -> str:
    return CallKeys(plain).key(args, kwargs)


def test_ways_of_saying_the_same_are_one_key() -> None:
    assert key(1) == key(a=1) == key(1, 1) == key(b=1, a=1) == key(1, c=None)
    assert key(1, x=1, y=2) == key(1, y=2, x=1)
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})
    assert key({3, 1, 2}) == key(frozenset([2, 3, 1]))


def test_different_arguments_are_different_keys() -> None:
    values: list[object] = [1, 1.0, True, "1", b"1", Side.LEFT, Decimal(1), None, "None", [1], (1,)]
    values += [{1}, {"1": 1}, {1: 1}, [], (), "", [[1]], [1, 1], 0.0, -0.0, float("nan"), "nan"]
    values += [date(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01"]
    assert len({key(value) for value in values}) == len(values)
    assert len({key(1, 2), key(2, 1), key(1, 1, 2), key(1, 2, 1), key(1, c=2), key(1, x=2)}) == 6


def test_the_key_is_the_same_in_every_process() -> None:
    script = (
        "from tests.gateway.cache.test_calls import key; print(key({'b', 'a'}, 1.5, c={'x': (1,)}))"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == key({"a", "b"}, 1.5, c={"x": (1,)})


@pytest.mark.parametrize("value", [object(), CacheManager, [object()], {"a": {object()}}, 1j])
def test_arguments_without_a_form_are_refused(value: object) -> None:
    with pytest.raises(CacheError, match=r"plain\(\) cannot be cached: argument 'b' is a \w+"):
        key(1, value)


def test_wrong_arguments_are_the_callers_error() -> None:
    with pytest.raises(TypeError):
        key()


def test_functions_that_capture_variables_share_with_nobody() -> None:
    def adding(n: int) -> Callable[[int], int]:
        return cache.cached(100)(lambda x: x + n)

    cache = CacheManager(quick())
    one, two = adding(1), adding(2)
    assert [one(1), two(1), one(1), two(1)] == [2, 3, 2, 3]
    assert cache.get_hit_rate() == 0.5


def test_a_decorated_function_is_computed_once_for_each_call() -> None:
    cache = CacheManager(quick())
    seen: list[int] = []

    @cache.cached(ttl=100)
    def double(x: int, times: int = 2) -> int:
        """Twice as much."""
        seen.append(x)
        return x * times

    assert [double(1), double(x=1), double(1, 2), double(times=2, x=1)] == [2] * 4
    assert double(2) == 4
    assert seen == [1, 2]
    assert double.__doc__ == "Twice as much."
