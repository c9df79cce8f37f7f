"""Trees of functions: own times, the dearest ones, and the loop that only waits."""

from typing import Any

import pytest

from preprocess.profiling.frames import Frame, Hot, busy, hottest, read_frame


def node(name: str, seconds: float, *children: dict[str, Any], file: str = "a.py") -> Any:
    """A frame as pyinstrument writes it."""
    return {
        "function": name,
        "file_path_short": file,
        "line_no": 0 if name == "[self]" else 7,
        "time": seconds,
        "children": list(children),
    }


def test_times_are_of_one_request_and_own_time_is_what_remains() -> None:
    document = node("top", 3.0, node("[self]", 1.0), node("len", 0.5, file="<built-in>"))
    root = read_frame(document, requests=1000)
    assert root == Frame("top", "a.py:7", 3.0, (Frame("len", "<built-in>", 0.5),))
    assert root.own_ms == pytest.approx(2.5)
    assert [frame.name for frame in root.walk()] == ["top", "len"]


def test_a_function_counts_wherever_it_was_called_from() -> None:
    twice = Frame("f", "a.py:1", 2.0), Frame("g", "a.py:9", 3.0, (Frame("f", "a.py:1", 2.5),))
    root = Frame("top", "a.py:20", 6.0, twice)
    assert hottest(root, 2) == [Hot("f", "a.py:1", 4.5), Hot("top", "a.py:20", 1.0)]


def test_waiting_for_the_next_request_is_no_work() -> None:
    work = Frame("handle", "app.py:3", 2.0)
    loop = Frame("run", "asyncio/runners.py:86", 90.0, (work,))
    root = Frame("main", "main.py:1", 91.0, (loop, Frame("run", "app.py:9", 0.25)))
    assert busy(root).ms == pytest.approx(2.0 + 0.25 + 0.75)
    assert busy(root).children[0].own_ms == 0.0
    assert busy(work) == work
