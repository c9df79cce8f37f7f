"""What Prometheus alerts to and Grafana shows: metrics that there are."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest
import yaml

from gateway import metrics
from tests.paths import PROJECT_ROOT

PROMETHEUS = PROJECT_ROOT / "config" / "prometheus"
GRAFANA = PROJECT_ROOT / "config" / "grafana"
DASHBOARD = GRAFANA / "dashboards" / "tezi.json"
GATEWAY = {
    value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)
}
# Of Triton 2.51 and of prometheus_client, which name them themselves.
OTHERS = {
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_queue_duration_us",
    "nv_cpu_utilization",
    "nv_cpu_memory_used_bytes",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "up",
}
WORDS = {
    "sum",
    "max",
    "avg",
    "count",
    "by",
    "le",
    "or",
    "vector",
    "rate",
    "max_over_time",
    "histogram_quantile",
    "rate_interval",
}


def metrics_in(query: str) -> set[str]:
    """The metrics that a query asks for, less the endings of histograms."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)', " ", query)
    found = set(re.findall(r"[a-z_]{2,}", bare)) - WORDS
    return {name.removesuffix("_bucket") for name in found}


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def queries() -> list[str]:
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


@pytest.mark.parametrize("name", alerts())
def test_an_alert_has_an_action_and_uses_existing_metrics(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "action"}
    asked = metrics_in(rule["expr"])
    assert asked
    assert asked <= GATEWAY | OTHERS


def test_the_dashboard_uses_existing_metrics() -> None:
    asked = set().union(*map(metrics_in, queries()))
    assert asked <= GATEWAY | OTHERS
    # What the gateway counts besides is shown too; in flight is seen under way to Triton.
    shown = GATEWAY & asked
    assert shown >= GATEWAY - {metrics.REQUESTS_IN_FLIGHT, metrics.CONTENT_TYPE}


def test_the_dashboard_is_current() -> None:
    printed = subprocess.run(
        [sys.executable, GRAFANA / "dashboard.py"], capture_output=True, text=True, check=True
    ).stdout
    written = DASHBOARD.read_text("utf-8")
    assert written == printed, "run `make docs`"


def test_the_dashboard_schema_is_of_the_grafana_in_compose() -> None:
    compose = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text("utf-8"))
    (release,) = re.findall(r"grafana:(\d+\.\d+)\.", compose["services"]["grafana"]["image"])
    # The package's version is the schema's, after the number of the package's own making.
    assert version("grafana-foundation-sdk").split("!")[1] == f"{release}.0"
