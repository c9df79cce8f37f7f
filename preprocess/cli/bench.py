"""`tezi bench`: figures that anyone can measure again."""

import importlib
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from preprocess.errors import TeziError
from preprocess.settings import PROJECT_ROOT, load_settings

BENCHMARKS = (
    "serve",
    "features",
    "db",
    "inference",
    "swaps",
    "cache",
    "load",
    "hotspots",
    "scaling",
)


@click.command("bench")
@click.argument("name", type=click.Choice(BENCHMARKS))
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the figures, with a plot and a table beside them. Default: reports/ in "
    "the data folder.",
)
@click.option("--quick", is_flag=True, help="A fifth of the time, for a first impression.")
@click.option(
    "--update-docs",
    is_flag=True,
    help="Also put the table into docs/benchmarks.md, where it has a place.",
)
@click.option(
    "--cpu-ms-per-request",
    metavar="GATEWAY,TRITON",
    help="For scaling: milliseconds of CPU that a request takes of each.",
)
@click.option(
    "--load-report",
    type=click.Path(path_type=Path, dir_okay=False),
    help="For scaling: the report of a load test that tells them.",
)
@click.option(
    "--scale",
    type=click.FloatRange(min=0.001, max=100.0),
    help="For load: what the durations of its scenarios are multiplied by.",
)
def bench_command(
    name: str,
    json_file: Path | None,
    *,
    quick: bool,
    update_docs: bool,
    cpu_ms_per_request: str | None,
    load_report: Path | None,
    scale: float | None,
) -> None:
    """Measure, and print a table of values, baselines, ratios and goals.

    `features`, `db`, `inference` and `cache` make a market of 11,000 stocks the first time, in
    bench/ of the data folder. The first two start a PostgreSQL of their own, `cache` a Redis;
    `inference` trains forests the first time, for half an hour. `load` starts nginx, gateways,
    Redis and Triton, takes a good half hour, and writes a page beside its figures; `hotspots`
    samples the same stack for five minutes. `scaling` measures nothing: it replays load through
    the autoscalers of config/kubernetes.

    \b
    tezi bench serve
    tezi bench features
    tezi bench db --quick
    tezi bench inference --update-docs
    tezi bench swaps
    tezi bench cache --quick
    tezi bench load --scale 0.1
    tezi bench hotspots
    tezi bench serve --quick --json /tmp/serve.json
    tezi bench scaling --cpu-ms-per-request 0.49,0.78
    """
    if not (PROJECT_ROOT / "tests" / "performance" / f"bench_{name}.py").is_file():
        raise TeziError("The benchmarks lie in tests/performance of the repository: clone it.")
    sys.path.insert(0, str(PROJECT_ROOT))
    benchmark = importlib.import_module(f"tests.performance.bench_{name}")
    command = f"tezi bench {name}" + (" --quick" if quick else "")
    inputs: dict[str, Any] = {}
    if cpu_ms_per_request or load_report:
        if name != "scaling":
            raise click.UsageError("Only `tezi bench scaling` takes CPU per request.")
        cpu = importlib.import_module("tests.performance.scaling.setups").CpuMs
        if cpu_ms_per_request:
            inputs["cpu"] = cpu.parse(cpu_ms_per_request)
            command += f" --cpu-ms-per-request {cpu_ms_per_request}"
        else:
            inputs["cpu"] = cpu.of_report(load_report)
            command += f" --load-report {load_report}"
    if scale is not None:
        if name != "load":
            raise click.UsageError("Only `tezi bench load` takes --scale.")
        inputs["scale"] = scale
        command += f" --scale {scale:g}"
    report = benchmark.run(quick=quick, command=command, **inputs)
    report.show(Console())
    target = json_file or load_settings().home / "reports" / f"{name}.json"
    report.write(target)
    if update_docs:
        page = PROJECT_ROOT / "docs" / "benchmarks.md"
        text = importlib.import_module("tests.performance.report_text")
        text.replace_between_markers(page, name, report.markdown())
    kinds = {"table": ".md", "plot": ".png"} | ({"page": ".html"} if name == "load" else {})
    beside = ", ".join(f"{kind}: {target.with_suffix(suffix)}" for kind, suffix in kinds.items())
    click.echo(f"Figures: {target}, {beside}")
