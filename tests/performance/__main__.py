"""The benchmarks as one program: `python -m tests.performance NAME`, in the project's environment.

Benchmarks are neither tests nor part of the product. Each is a module with a function
`run(*, quick, command, ...)` that measures and returns a `Report`.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from preprocess.errors import TeziError
from preprocess.settings import load_settings
from tests.paths import PROJECT_ROOT
from tests.performance.report import Report
from tests.performance.report_text import replace_between_markers

# Imported when called: each needs libraries that the others do not.
BENCHMARKS = {
    "features": "bench_features",
    "db": "bench_db",
    "inference": "bench_inference",
    "cache": "bench_cache",
    "serve": "bench_serve",
    "load": "bench_load",
    "evening": "bench_evening",
    "swaps": "bench_swaps",
    "hotspots": "bench_hotspots",
}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", type=click.Choice(list(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="Small and short, for a first impression.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the figures, with a plot and a table next to them. Default: reports/ in "
    "the data folder.",
)
@click.option(
    "--update-docs",
    is_flag=True,
    help="Also put the table into docs/benchmarks.md, where that page has markers for it.",
)
@click.option(
    "--scale",
    type=click.FloatRange(min=0.001, max=100.0),
    help="For load: what the durations of its scenarios are multiplied by.",
)
def main(
    name: str,
    json_file: Path | None,
    *,
    quick: bool,
    update_docs: bool,
    scale: float | None,
) -> None:
    """Measure, and print a table of values, baselines, ratios and goals.

    \b
    features   one stock and the whole market, against pandas       3 min
    db         one stock, all results, the join; SQLite, PostgreSQL 2 min
    inference  a model's variants against its pickle                30 min the first time
    cache      what each tier saves, and its hit rates              5 min
    serve      REST and Triton's own ports, against a naive service 3 min
    load       the whole stack: steady, spike, sustained, maximum   30 min
    evening    its time, traffic beside it, the cache after it      8 min
    swaps      versions are activated and rolled back under load    5 min
    hotspots   what takes the processor time under load             5 min

    \b
    python -m tests.performance serve
    python -m tests.performance features --quick
    python -m tests.performance load --scale 0.1
    python -m tests.performance serve --quick --json /tmp/serve.json
    python -m tests.performance inference --update-docs
    """
    command = f"python -m tests.performance {name}" + (" --quick" if quick else "")
    extra: dict[str, Any] = {}
    if scale is not None:
        if name != "load":
            raise click.UsageError("Only `load` takes --scale.")
        extra["scale"] = scale
        command += f" --scale {scale}"
    benchmark = import_module(f"tests.performance.{BENCHMARKS[name]}")
    report: Report = benchmark.run(quick=quick, command=command, **extra)
    click.echo(f"{name}: {report.markdown()}")
    target = json_file or load_settings().home / "reports" / f"{name}.json"
    report.write(target)
    if update_docs:
        page = PROJECT_ROOT / "docs" / "benchmarks.md"
        replace_between_markers(page, name, report.markdown())
    click.echo(f"Figures: {target}, with {target.stem}.md and {target.stem}.png next to it")


if __name__ == "__main__":
    try:
        main(prog_name="python -m tests.performance")
    except TeziError as error:
        click.secho(f"benchmark: {error}", fg="red", err=True)
        sys.exit(1)
