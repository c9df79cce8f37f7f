"""`tezi profile` beside a running stack: parts that add up, and flame graphs beside them."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psutil
import pytest
from click.testing import CliRunner

from gateway.cli import main
from tests.integration.stack import RunningStack

# Clocks of several processes are compared: not beside other tests.
pytestmark = [pytest.mark.triton, pytest.mark.serial]

REQUESTS = 100


@pytest.fixture(scope="module")
def target(demo_stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the figures of one profile lie."""
    path = tmp_path_factory.mktemp("profile") / "figures.json"
    arguments = ["profile", "--requests", str(REQUESTS), "--json", str(path)]
    done = CliRunner(env=demo_stack.settings.environment()).invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert str(path) in done.output
    return path


@pytest.fixture(scope="module")
def shapes(target: Path) -> dict[str, Any]:
    return {shape["shape"]: shape for shape in json.loads(target.read_text())["shapes"]}


@pytest.mark.parametrize(("name", "rows", "requests"), [("one", 1, 100), ("batch", 100, 20)])
def test_the_parts_are_the_whole(
    shapes: dict[str, Any], name: str, rows: int, requests: int
) -> None:
    shape = shapes[name]
    assert (shape["rows_each"], shape["requests"]) == (rows, requests)
    parts = {part["name"]: part["ms"] for part in shape["parts"]}
    whole = shape["end_to_end_ms"]
    assert sum(parts.values()) + shape["remainder_ms"] == pytest.approx(whole)
    assert abs(shape["remainder_ms"]) < 0.25 * whole
    for clocked in ("client and HTTP", "gateway", "HTTP to Triton and back", "queues in Triton"):
        assert 0 < parts[clocked] < whole
    for in_process in ("feature lookup", "inference"):
        assert 0 < parts[in_process] < whole
    assert shape["top"] == sorted(parts, key=lambda part: -parts[part])[:3]


def test_flame_graphs_lie_beside(target: Path) -> None:
    for name in ("one", "batch"):
        text = target.with_name(f"figures-{name}.svg").read_text()
        ET.fromstring(text)
        assert "gateway" in text


def test_no_sampler_is_left(target: Path) -> None:
    lines = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    assert not any("py-spy" in line for line in lines)
