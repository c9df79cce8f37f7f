"""What the panels of the dashboard show, asked of Prometheus as Grafana asks it."""

import json
import math
import re
import time
from dataclasses import dataclass

import httpx

from preprocess.settings import PROJECT_ROOT

DASHBOARD = PROJECT_ROOT / "config" / "grafana" / "dashboards" / "tezi.json"
# Grafana makes it four times the scrape interval at least, which the data source says.
_RATE_INTERVAL = "40s"
_STEP_S = 5
_PAST_S = 60


@dataclass(frozen=True)
class Query:
    """One query of a panel, and the labels that its legend names."""

    panel: str
    expression: str
    labels: frozenset[str]


def queries() -> list[Query]:
    """Every query of the dashboard."""
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [
        Query(
            panel["title"],
            target["expr"].replace("$__rate_interval", _RATE_INTERVAL),
            frozenset(re.findall(r"{{(\w+)}}", target["legendFormat"])),
        )
        for panel in panels
        for target in panel.get("targets", ())
    ]


def trouble(client: httpx.Client, query: Query) -> str | None:
    """Why the last minute of a query makes no picture; None if it does."""
    now = time.time()
    span = {"start": now - _PAST_S, "end": now, "step": _STEP_S}
    answer = client.get("/api/v1/query_range", params={"query": query.expression, **span}).json()
    if answer["status"] != "success":
        return f"{query.panel}: {answer['error']}"
    series = [
        found
        for found in answer["data"]["result"]
        if any(math.isfinite(float(value)) for _, value in found["values"])
    ]
    if not series:
        return f"{query.panel}: nothing from {query.expression}"
    unnamed = query.labels - set().union(*(found["metric"].keys() for found in series))
    return f"{query.panel}: no label {', '.join(sorted(unnamed))}" if unnamed else None
