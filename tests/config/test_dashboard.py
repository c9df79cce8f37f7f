"""The dashboard is what its script prints, with the schema of the Grafana that is started."""

import re
import subprocess
import sys
from importlib.metadata import version

import yaml

from tests.paths import PROJECT_ROOT

GRAFANA = PROJECT_ROOT / "config" / "grafana"


def test_the_dashboard_is_as_generated() -> None:
    printed = subprocess.run(
        [sys.executable, GRAFANA / "dashboard.py"], capture_output=True, text=True, check=True
    ).stdout
    written = (GRAFANA / "dashboards" / "tezi.json").read_text("utf-8")
    assert written == printed, "run `make docs`"


def test_the_schema_is_of_the_release_that_is_started() -> None:
    compose = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text("utf-8"))
    (release,) = re.findall(r"grafana:(\d+\.\d+)\.", compose["services"]["grafana"]["image"])
    # The package's version is the schema's, after the number of the package's own making.
    assert version("grafana-foundation-sdk").split("!")[1] == f"{release}.0"
