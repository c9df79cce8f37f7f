"""Prints the Grafana dashboard, three panels per row. `make docs` writes dashboards/tezi.json."""

import sys
from itertools import count

from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from gateway import metrics as names

Query = tuple[str, str]
"""A Prometheus expression, and the legend of its lines."""

_CACHE_LEGEND = "{{cache}} {{result}}"
_PREDICTIONS = 'route=~"/api/v1/(predict|batch_predict)"'


def _rate(metric: str, by: str, selector: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))"


def _rates(metric: str, by: str, selector: str = "") -> Query:
    return _rate(metric, by, selector), f"{{{{{by}}}}}"


def _per(metric: str, other: str) -> Query:
    return f"{_rate(metric, 'model')} / {_rate(other, 'model')}", "{{model}}"


def _quantiles(metric: str, selector: str = "") -> list[Query]:
    rate = _rate(f"{metric}_bucket", "le", selector)
    return [(f"histogram_quantile(0.{part}, {rate})", f"p{part}") for part in (50, 95, 99)]


ROWS: dict[str, list[tuple[str, str, list[Query]]]] = {
    "Requests from clients": [
        ("Requests", units.RequestsPerSecond, [_rates(names.REQUESTS, "route")]),
        ("Prediction latency", units.Seconds, _quantiles(names.REQUEST_SECONDS, _PREDICTIONS)),
        (
            "Client and server errors",
            units.RequestsPerSecond,
            [_rates(names.REQUESTS, "status", 'status!~"2..|3.."')],
        ),
        ("Ready gateways", units.NoUnit, [(f"sum({names.READY})", "ready")]),
        (
            "Serving version",
            units.NoUnit,
            [
                (
                    f"max by (variant, model_version) ({names.MODEL_VERSION})",
                    "{{variant}} {{model_version}}",
                )
            ],
        ),
        ("Stocks by outcome", units.OpsPerSecond, [_rates(names.PREDICTIONS, "outcome")]),
    ],
    "Caches": [
        ("Hit rate", units.Percent, [(f"avg by (cache) ({names.CACHE_HIT_RATE})", "{{cache}}")]),
        (
            "Local cache lookups",
            units.OpsPerSecond,
            [(_rate(names.CACHE_REQUESTS, "cache, result", 'tier="local"'), _CACHE_LEGEND)],
        ),
        (
            "Redis lookups",
            units.OpsPerSecond,
            [(_rate(names.CACHE_REQUESTS, "cache, result", 'tier!="local"'), _CACHE_LEGEND)],
        ),
    ],
    "Gateway to Triton": [
        ("Triton request latency", units.Seconds, _quantiles(names.PREDICTOR_SECONDS)),
        ("Rows per Triton request", units.NoUnit, _quantiles(names.PREDICTOR_ROWS)),
        (
            "Requests in flight and waiting",
            units.NoUnit,
            [
                (f"sum by (instance) ({names.PREDICTOR_IN_FLIGHT})", "{{instance}} in flight"),
                (f"sum by (instance) ({names.PREDICTOR_WAITING})", "{{instance}} waiting"),
            ],
        ),
    ],
    "Triton": [
        ("Inferences", units.OpsPerSecond, [_rates("nv_inference_count", "model")]),
        (
            "Queue time per request",
            units.Microseconds,
            [_per("nv_inference_queue_duration_us", "nv_inference_request_success")],
        ),
        (
            "Rows per execution",
            units.NoUnit,
            [_per("nv_inference_count", "nv_inference_exec_count")],
        ),
        ("Failures", units.OpsPerSecond, [_rates("nv_inference_request_failure", "model")]),
        ("CPU", units.PercentUnit, [("nv_cpu_utilization", "used")]),
        ("Memory", units.BytesIEC, [("nv_cpu_memory_used_bytes", "used")]),
    ],
    "New versions": [
        ("Stocks by version label", units.OpsPerSecond, [_rates(names.ROUTED, "label")]),
        ("Shadow results", units.OpsPerSecond, [_rates(names.SHADOWED, "result")]),
        ("Shadow probability difference", units.NoUnit, _quantiles(names.SHADOW_DIFFERENCE)),
        ("Admin calls", units.OpsPerSecond, [_rates(names.ADMIN_CALLS, "outcome")]),
    ],
    "Processes": [
        (
            "Gateway CPU",
            units.PercentUnit,
            [_rates("process_cpu_seconds_total", "instance", 'job="gateway"')],
        ),
        (
            "Gateway memory",
            units.BytesIEC,
            [('process_resident_memory_bytes{job="gateway"}', "{{instance}}")],
        ),
        ("Stocks in the directory", units.NoUnit, [(f"max({names.STOCKS})", "stocks")]),
    ],
}


def dashboard() -> str:
    """The dashboard as Grafana reads it, in JSON."""
    source = DataSourceRef("prometheus", "prometheus")
    numbers = count(1)
    built = Dashboard("Tezi").uid("tezi").tags(["tezi"]).readonly()
    built.refresh("10s").time("now-1h", "now")
    for row, panels in ROWS.items():
        built.with_row(Row(row).id(next(numbers)))
        for title, unit, queries in panels:
            single = queries[0][0] == f"sum({names.READY})"
            panel = stat.Panel() if single else timeseries.Panel()
            panel.id(next(numbers)).title(title).datasource(source).unit(unit).min(0)
            for letter, (query, legend) in zip("ABC", queries, strict=False):
                target = prometheus.Dataquery().ref_id(letter).datasource(source)
                panel.with_target(target.expr(query).legend_format(legend))
            built.with_panel(panel.height(8).span(8))
    return JSONEncoder(indent=1, sort_keys=True, ensure_ascii=False).encode(built.build()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(dashboard())
