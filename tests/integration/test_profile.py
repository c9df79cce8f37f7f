"""`tezi profile` next to a running stack: parts that add up."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import main
from tests.integration.stack import RunningStack

# Clocks of several processes are compared: so no other tests may run meanwhile.
pytestmark = [pytest.mark.triton, pytest.mark.serial]


@pytest.fixture(scope="module")
def shapes(demo_stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The figures of one profile, by shape."""
    path = tmp_path_factory.mktemp("profile") / "figures.json"
    arguments = ["profile", "--requests", "100", "--json", str(path)]
    done = CliRunner(env=demo_stack.settings.environment()).invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert str(path) in done.output
    return {shape["shape"]: shape for shape in json.loads(path.read_text())["shapes"]}


@pytest.mark.parametrize(("name", "rows", "requests"), [("one", 1, 100), ("batch", 100, 20)])
def test_the_parts_are_the_whole(
    shapes: dict[str, Any], name: str, rows: int, requests: int
) -> None:
    shape = shapes[name]
    assert (shape["rows_each"], shape["requests"]) == (rows, requests)
    parts, whole = shape["parts_ms"], shape["end_to_end_ms"]
    assert sum(parts.values()) == pytest.approx(whole)
    assert abs(parts.pop("remainder")) < 0.25 * whole
    assert all(0 < ms < whole for ms in parts.values()), parts
    assert set(shape["top"]) <= parts.keys()
