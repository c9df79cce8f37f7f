"""What Prometheus alerts to and Grafana shows: metrics that there are."""

import json
import re
from typing import Any

import pytest
import yaml

from gateway import metrics
from tests.paths import PROJECT_ROOT

PROMETHEUS = PROJECT_ROOT / "config" / "prometheus"
DASHBOARD = PROJECT_ROOT / "config" / "grafana" / "dashboards" / "tezi.json"
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
def test_an_alert_says_what_to_do_about_metrics_that_there_are(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "action"}
    asked = metrics_in(rule["expr"])
    assert asked
    assert asked <= GATEWAY | OTHERS


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    asked = set().union(*map(metrics_in, queries()))
    assert asked <= GATEWAY | OTHERS
    # What the gateway counts besides is shown too; in flight is seen under way to Triton.
    shown = GATEWAY & asked
    assert shown >= GATEWAY - {metrics.REQUESTS_IN_FLIGHT, metrics.CONTENT_TYPE}


def test_grafana_is_led_to_the_prometheus_that_the_panels_name() -> None:
    folder = PROJECT_ROOT / "config" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text("utf-8"))[
        "datasources"
    ]
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    named = {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"}
    assert named == {source["uid"]}


def test_prometheus_asks_each_gateway_by_its_own_address() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    (lookup,) = jobs["gateway"]["dns_sd_configs"]
    services = yaml.safe_load((PROJECT_ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    assert set(lookup["names"]) <= services.keys()
    assert config["rule_files"] == ["alerts.yml"]


def test_the_alerts_that_are_tried_are_alerts() -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text("utf-8"))["tests"]
    tried = {case["alertname"] for test in tests for case in test["alert_rule_test"]}
    assert tried <= alerts().keys()
    assert {name for name, rule in alerts().items() if rule["labels"]["severity"] == "page"} & tried
