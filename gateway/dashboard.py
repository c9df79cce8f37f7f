"""What the Grafana dashboard shows, as a table; `python -m gateway.dashboard` prints its JSON."""

import json
import sys
from dataclasses import dataclass

from gateway import metrics as names

_HEIGHT = 8
_WIDTH = 8  # of 24: three panels in a row
_CACHE_LEGEND = "{{cache}} {{result}}"
_PREDICTIONS = 'route=~"/api/v1/(predict|batch_predict)"'


@dataclass(frozen=True)
class Panel:
    """One picture: its title, unit, and the queries with their legends."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"


def _quantiles(metric: str, selector: str = "") -> tuple[tuple[str, str], ...]:
    rate = f"sum by (le) (rate({metric}_bucket{{{selector}}}[$__rate_interval]))"
    return tuple(
        (f"histogram_quantile({quantile}, {rate})", f"p{round(quantile * 100)}")
        for quantile in (0.5, 0.95, 0.99)
    )


def _rate(metric: str, by: str, selector: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))"


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "What clients see",
        (
            Panel("Requests", "reqps", ((_rate(names.REQUESTS, "route"), "{{route}}"),)),
            Panel("Prediction latency", "s", _quantiles(names.REQUEST_SECONDS, _PREDICTIONS)),
            Panel(
                "Refused and failed",
                "reqps",
                ((_rate(names.REQUESTS, "status", 'status!~"2..|3.."'), "{{status}}"),),
            ),
            Panel("Gateways that are ready", "none", ((f"sum({names.READY})", "ready"),), "stat"),
            Panel(
                "Version that answers",
                "none",
                (
                    (
                        f"max by (variant, model_version) ({names.MODEL_VERSION})",
                        "{{variant}} {{model_version}}",
                    ),
                ),
            ),
            Panel(
                "Stocks by outcome",
                "ops",
                ((_rate(names.PREDICTIONS, "outcome"), "{{outcome}}"),),
            ),
        ),
    ),
    (
        "Caches",
        (
            Panel(
                "Hit rate",
                "percent",
                ((f"avg by (cache) ({names.CACHE_HIT_RATE})", "{{cache}}"),),
            ),
            Panel(
                "Held in a gateway's memory",
                "ops",
                ((_rate(names.CACHE_REQUESTS, "cache, result", 'tier="local"'), _CACHE_LEGEND),),
            ),
            Panel(
                "Held in Redis",
                "ops",
                ((_rate(names.CACHE_REQUESTS, "cache, result", 'tier!="local"'), _CACHE_LEGEND),),
            ),
        ),
    ),
    (
        "Between gateway and Triton",
        (
            Panel("A request to Triton takes", "s", _quantiles(names.PREDICTOR_SECONDS)),
            Panel("Rows that travel together", "none", _quantiles(names.PREDICTOR_ROWS)),
            Panel(
                "Under way and waiting",
                "none",
                (
                    (f"sum by (instance) ({names.PREDICTOR_UNDER_WAY})", "{{instance}} under way"),
                    (f"sum by (instance) ({names.PREDICTOR_WAITING})", "{{instance}} waiting"),
                ),
            ),
        ),
    ),
    (
        "Triton",
        (
            Panel("Inferences", "ops", ((_rate("nv_inference_count", "model"), "{{model}}"),)),
            Panel(
                "Queue a request",
                "µs",
                (
                    (
                        f"{_rate('nv_inference_queue_duration_us', 'model')} / "
                        f"{_rate('nv_inference_request_success', 'model')}",
                        "{{model}}",
                    ),
                ),
            ),
            Panel(
                "Rows an execution",
                "none",
                (
                    (
                        f"{_rate('nv_inference_count', 'model')} / "
                        f"{_rate('nv_inference_exec_count', 'model')}",
                        "{{model}}",
                    ),
                ),
            ),
            Panel(
                "Failures",
                "ops",
                ((_rate("nv_inference_request_failure", "model"), "{{model}}"),),
            ),
            Panel("CPU", "percentunit", (("nv_cpu_utilization", "used"),)),
            Panel("Memory", "bytes", (("nv_cpu_memory_used_bytes", "used"),)),
        ),
    ),
    (
        "New versions",
        (
            Panel(
                "Stocks by who answered",
                "ops",
                ((_rate(names.ROUTED, "label"), "{{label}}"),),
            ),
            Panel(
                "What the shadow says",
                "ops",
                ((_rate(names.SHADOWED, "result"), "{{result}}"),),
            ),
            Panel("Shadow's distance", "none", _quantiles(names.SHADOW_DIFFERENCE)),
        ),
    ),
    (
        "Processes",
        (
            Panel(
                "CPU of a gateway",
                "percentunit",
                (
                    (
                        _rate("process_cpu_seconds_total", "instance", 'job="gateway"'),
                        "{{instance}}",
                    ),
                ),
            ),
            Panel(
                "Memory of a gateway",
                "bytes",
                (('process_resident_memory_bytes{job="gateway"}', "{{instance}}"),),
            ),
            Panel("Stocks that can be asked for", "none", ((f"max({names.STOCKS})", "stocks"),)),
        ),
    ),
)


def dashboard() -> str:
    """The dashboard as Grafana reads it."""
    panels: list[dict[str, object]] = []
    top = 0
    for title, row in ROWS:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"h": 1, "w": 24, "x": 0, "y": top},
                "panels": [],
            }
        )
        top += 1
        for place, panel in enumerate(row):
            position = {
                "h": _HEIGHT,
                "w": _WIDTH,
                "x": place * _WIDTH % 24,
                "y": top + place * _WIDTH // 24 * _HEIGHT,
            }
            panels.append(_panel(len(panels) + 1, panel, position))
        top += -(-len(row) * _WIDTH // 24) * _HEIGHT
    document = {
        "uid": "tezi",
        "title": "Tezi",
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "tags": ["tezi"],
        "panels": panels,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _panel(number: int, panel: Panel, position: dict[str, int]) -> dict[str, object]:
    source = {"type": "prometheus", "uid": "prometheus"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": source,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": source,
                "expr": query,
                "legendFormat": legend,
            }
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }


if __name__ == "__main__":
    sys.stdout.write(dashboard())
