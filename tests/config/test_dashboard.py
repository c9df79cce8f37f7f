"""The dashboard against Grafana's own schema, of the release that docker-compose.yml starts."""

import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from preprocess.settings import PROJECT_ROOT

DASHBOARD = PROJECT_ROOT / "config" / "grafana" / "dashboards" / "tezi.json"


def written() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return found


def as_grafana_reads(document: dict[str, Any]) -> Any:
    """`document` through the schema's types and back: what they do not know is gone."""
    register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(document)))


def lost(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Where `after` has not what `before` has; what was added is no matter."""
    if isinstance(before, dict):
        for key, value in before.items():
            if not isinstance(after, dict) or key not in after:
                yield f"{place}/{key}"
            else:
                yield from lost(value, after[key], f"{place}/{key}")
    elif isinstance(before, list):
        if not isinstance(after, list) or len(before) != len(after):
            yield place
            return
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{place}/{number}")
    elif before != after:
        yield place


def test_the_schema_knows_everything_that_stands_in_it() -> None:
    assert list(lost(written(), as_grafana_reads(written()))) == []


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ("", "titel"),
        ("/panels/1", "grid"),
        ("/panels/1/targets/0", "expression"),
        ("/panels/1/fieldConfig/defaults", "units"),
    ],
)
def test_a_word_that_grafana_does_not_know_is_noticed(place: str, key: str) -> None:
    document = written()
    part: Any = document
    for step in filter(None, place.split("/")):
        part = part[int(step)] if step.isdecimal() else part[step]
    part[key] = "x"
    assert list(lost(document, as_grafana_reads(document))) == [f"{place}/{key}"]


def test_units_are_grafanas() -> None:
    known = {value for name, value in vars(units).items() if not name.startswith("_")}
    for panel in written()["panels"]:
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"] in known, panel["title"]


def test_the_schema_is_of_the_release_that_is_started() -> None:
    compose = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text("utf-8"))
    (release,) = re.findall(r"grafana:(\d+\.\d+)\.", compose["services"]["grafana"]["image"])
    # The package's version is the schema's, after the number of the package's own making.
    assert version("grafana-foundation-sdk").split("!")[1] == f"{release}.0"
