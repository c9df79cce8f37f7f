"""`tezi db`: a look at how the database answers."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from preprocess.db_optimizer import DBOptimizer
from preprocess.files import atomic_write
from preprocess.settings import load_settings


@click.group("db")
def db_group() -> None:
    """Look at how the database answers."""


@db_group.command("analyze")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report to this file too.",
)
def analyze_command(json_file: Path | None) -> None:
    """Explain and time the product's queries, the slowest first.

    \b
    tezi db analyze
    tezi db analyze --json /tmp/queries.json
    """
    with DBOptimizer(load_settings()) as optimizer:
        reports = optimizer.analyze_slow_queries()
    table = Table("query", "ms", "plan", show_lines=True)
    for report in reports:
        table.add_row(
            report.query.name, f"{report.plan.milliseconds:.3f}", "\n".join(report.plan.lines)
        )
    Console().print(table)
    if json_file is not None:
        queries = [
            {
                "query": report.query.name,
                "sql": report.query.sql,
                "parameters": report.query.parameters,
                "milliseconds": report.plan.milliseconds,
                "plan": report.plan.lines,
            }
            for report in reports
        ]
        atomic_write(json_file, json.dumps({"queries": queries}, indent=2).encode() + b"\n")


@db_group.command("samples")
def samples_command() -> None:
    """Join price, results and label of each announcement anew (`announcement_samples`).

    \b
    tezi db samples
    """
    with DBOptimizer(load_settings()) as optimizer:
        click.echo(f"{optimizer.refresh_samples()} samples joined.")
