"""`tezi profile` beside a running stack: parts that add up, and files that say the same."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psutil
import pytest
from click.testing import CliRunner

from preprocess.cli import main
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
    assert path.with_suffix(".txt").read_text() in done.output
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
    assert shape["requests_in_triton"] >= requests


def test_names_come_from_triton_and_functions_from_the_processes(shapes: dict[str, Any]) -> None:
    for shape in shapes.values():
        assert shape["models"]["features"] == "features"
        assert shape["models"]["ensemble"].startswith("predict_fp32")
        assert shape["models"]["classifier"].startswith("classifier_fp32")
        places = " ".join(function["place"] for function in shape["gateway_functions"])
        assert "grpc" in places or "gateway" in places
        assert any("preprocess/" in function["place"] for function in shape["lookup_functions"])
        assert shape["operators"][0]["name"] == "TreeEnsembleClassifier"


def test_flame_graphs_lie_beside(target: Path) -> None:
    for name in ("one", "batch"):
        text = target.with_name(f"figures-{name}.svg").read_text()
        ET.fromstring(text)
        for word in ("End to end", "feature lookup", "TreeEnsembleClassifier", "predict"):
            assert word in text
        assert text.count("http") == 1 + text.count("httptools") + text.count("http/")


def test_its_gateway_is_gone(target: Path) -> None:
    words = [
        word for child in psutil.Process().children(recursive=True) for word in child.cmdline()
    ]
    assert "preprocess.profiling.sampled" not in words
