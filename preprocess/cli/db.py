"""`tezi db`: a look at how the database answers."""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from preprocess.cli.progress import progress_bar
from preprocess.database.analysis import Analysis, QueryReport
from preprocess.db_optimizer import DBOptimizer
from preprocess.repository.files import write_atomically
from preprocess.settings import load_settings


@click.group("db")
def db_group() -> None:
    """Look at how the database answers, and make it answer sooner."""


@db_group.command("analyze")
@click.option("--create", is_flag=True, help="Make the indexes that are recommended.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report, with every plan, to this file too.",
)
def analyze_command(create: bool, json_file: Path | None) -> None:
    """Try out which indexes would help the product's queries and those logged as slow.

    An index is recommended only after it was built where nobody else sees it, and used, and
    measured to save time.

    \b
    tezi db analyze
    tezi db analyze --create --json /tmp/queries.json
    """
    with DBOptimizer(load_settings()) as optimizer:
        with progress_bar("Queries") as progress:
            analysis = optimizer.analyze_slow_queries(progress)
        _show(analysis)
        if json_file is not None:
            text = json.dumps(_document(analysis), indent=2, default=str)
            write_atomically(json_file, text.encode() + b"\n")
        if create:
            made = optimizer.create_indexes(analysis.recommendations)
            click.echo(f"Made {len(made)} index(es): {', '.join(i.name for i in made) or 'none'}.")


@db_group.command("samples")
def samples_command() -> None:
    """Bring the joined samples (price, results and label as of each announcement) up to date.

    \b
    tezi db samples
    """
    with DBOptimizer(load_settings()) as optimizer:
        refreshed = optimizer.refresh_samples()
    click.echo(f"Computed {refreshed.rows} sample(s) of {refreshed.stocks} changed stock(s).")


def _show(analysis: Analysis) -> None:
    table = Table("query", "ms", "with index", "what")
    for report in analysis.reports:
        found = report.recommendation
        table.add_row(
            report.query.name,
            "-" if report.milliseconds is None else f"{report.milliseconds:.3f}",
            f"{found.ms_after:.3f}" if found else "",
            found.sql if found else report.reason,
        )
    Console().print(table)
    click.echo(f"Measured on {analysis.measured_on}.")


def _document(analysis: Analysis) -> dict[str, Any]:
    return {
        "measured_on": analysis.measured_on,
        "queries": [_report(report) for report in analysis.reports],
        "recommendations": [found.sql for found in analysis.recommendations],
    }


def _report(report: QueryReport) -> dict[str, Any]:
    found = report.recommendation
    return {
        "query": report.query.name,
        "source": report.query.source,
        "sql": report.query.sql,
        "parameters": report.query.parameters,
        "plan_before": report.plan,
        "ms_before": found.ms_before if found else report.milliseconds,
        "plan_after": found.plan_after if found else None,
        "ms_after": found.ms_after if found else None,
        "recommendation": found.sql if found else None,
        "index_bytes": found.size_bytes if found else None,
        "reason": report.reason or None,
        "tried": [
            {"index": trial.index.sql, "used": trial.used, "ms": trial.milliseconds}
            for trial in report.trials
        ],
    }
