"""Flame graphs: well-formed, self-contained, as wide as the time."""

from xml.etree import ElementTree as ET

import pytest

from preprocess.profiling.flame import Panel, flame_graph
from preprocess.profiling.frames import Frame

SVG = "{http://www.w3.org/2000/svg}"
ROOT = Frame(
    "request",
    "",
    10.0,
    (
        Frame("<module>", "a&b.py:1", 2.5, (Frame("deep", "c.py:2", 2.5),)),
        Frame("wide", "", 7.0),
        Frame("a moment", "", 0.001),
    ),
)


def boxes(svg: str) -> dict[str, tuple[float, float]]:
    """Left edge and width of each box, by the first word of what it says of itself."""
    found = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        title, box = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        assert title is not None
        assert title.text is not None
        assert box is not None
        found[title.text.split()[0].rstrip(":")] = (
            float(box.attrib["x"]),
            float(box.attrib["width"]),
        )
    return found


def test_widths_are_times_and_children_lie_within() -> None:
    found = boxes(flame_graph("title", [Panel("one", ROOT)]))
    whole = found["request"][1]
    assert found["wide"][1] / whole == pytest.approx(0.7, abs=0.001)
    assert found["<module>"][1] / whole == pytest.approx(0.25, abs=0.001)
    assert found["deep"] == found["<module>"]
    assert found["wide"][0] < found["<module>"][0]  # the dearest comes first
    assert "a" not in found  # narrower than can be seen


def test_nothing_from_outside_is_needed() -> None:
    svg = flame_graph(
        "a <title> & more", [Panel("one", ROOT), Panel("two", Frame("idle", "", 0.0))]
    )
    assert svg.count("http") == 1  # the name of the format
    assert "script" not in svg
    headings = [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]
    assert {"a <title> & more", "one", "two"} <= set(headings)


def test_a_box_says_its_time_and_its_share() -> None:
    assert "<title>wide: 7.0000 ms, 70.0%</title>" in flame_graph("title", [Panel("one", ROOT)])
    assert "&lt;module&gt; a&amp;b.py:1: 2.5000 ms" in flame_graph("title", [Panel("one", ROOT)])
