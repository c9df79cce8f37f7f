"""`tezi db`, `tezi migrate`, `tezi copy-db`, `tezi maintain`: care of the market database."""

import json
import sys
from contextlib import closing
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gateway.cli.progress import progress_bar
from gateway.maintenance.run import TASKS, maintain, selected_tasks
from preprocess.database_url import parse_database_url
from preprocess.db_optimizer import DBOptimizer
from preprocess.errors import StoreError
from preprocess.files import atomic_write
from preprocess.settings import load_settings
from preprocess.store import open_database, open_store, open_upkeep
from preprocess.store.copying import copy_market

_json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the report to this file.",
)


@click.group("db")
def db_group() -> None:
    """Inspect the database's query plans and refresh its sample table."""


@db_group.command("analyze")
@_json_option
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
    """Refresh `announcement_samples`: price, results and label of each announcement.

    \b
    tezi db samples
    """
    with DBOptimizer(load_settings()) as optimizer:
        click.echo(f"{optimizer.refresh_samples()} samples joined.")


@click.command("migrate")
def migrate_command() -> None:
    """Bring the market database to this version's schema. Running it twice does no harm.

    Commands that write to the database migrate it themselves.

    \b
    tezi migrate
    """
    settings = load_settings()
    open_store(settings, write=True).close()
    click.echo(f"{settings.database} has the newest schema.")


@click.command("copy-db")
@click.argument("source_url", metavar="SOURCE")
@click.argument("target_url", metavar="TARGET")
@click.option("--replace", is_flag=True, help="Replace a market that is already in the target.")
def copy_db_command(source_url: str, target_url: str, replace: bool) -> None:
    """Copy a market from SOURCE to TARGET, each of them SQLite or PostgreSQL.

    The copy is one transaction of the target: complete or not there at all, even if the command
    is killed. At the end the rows of every table are counted and compared by checksum. Anybody
    who can list processes sees a password in a URL: leave it out, and set PGPASSWORD or use
    ~/.pgpass.

    \b
    tezi copy-db sqlite:///data/market.db postgresql://tezi@db.example/market
    tezi copy-db postgresql://tezi@db.example/market sqlite:///copy.db
    """
    settings = load_settings()
    source, target = (parse_database_url(url) for url in (source_url, target_url))
    if source == target:
        raise StoreError("Source and target are the same database.")
    with (
        closing(open_database(source, settings)) as read,
        closing(open_database(target, settings, write=True)) as write,
        progress_bar("Copying and comparing stocks") as advance,
    ):
        copied = copy_market(read, write, replace=replace, advance=advance)
    table = Table("table", "rows", "SHA-256, the same on both sides", box=SIMPLE_HEAD)
    for one in copied:
        table.add_row(one.table, f"{one.rows:,}", one.checksum[:32])
    Console().print(table)
    click.echo(f"{target} holds what {source} holds.")


@click.command("maintain")
@click.option(
    "--only",
    metavar="TASK,...",
    help=f"Run only these tasks: {', '.join(task.name for task in TASKS)}.",
)
@_json_option
def maintain_command(only: str | None, json_file: Path | None) -> None:
    """Clean up after killed runs, tidy the database, refresh its statistics.

    It may run while the stack serves: reads continue, imports wait. Only one maintenance of a
    database runs at a time. A task that fails does not stop the others; the exit status is then 1.

    \b
    tezi maintain
    tezi maintain --only vacuum,analyze --json /tmp/maintenance.json
    """
    tasks = selected_tasks(only.split(",") if only is not None else None)
    settings = load_settings()
    with closing(open_upkeep(settings)) as upkeep, progress_bar("Maintenance") as progress:
        results = maintain(upkeep, settings, tasks, progress)
    table = Table("task", "seconds", "MB before", "MB after", "what")
    for result in results:
        table.add_row(
            result.name,
            f"{result.seconds:.2f}",
            f"{result.bytes_before / 1e6:,.1f}",
            f"{result.bytes_after / 1e6:,.1f}",
            "failed: see below" if result.failed else result.detail,
        )
    Console().print(table)
    if json_file is not None:
        document = {"tasks": [result.document() for result in results]}
        atomic_write(json_file, json.dumps(document, indent=2).encode() + b"\n")
    failed = [result for result in results if result.failed]
    for result in failed:
        click.secho(f"tezi: {result.name} failed: {result.detail}", fg="red", err=True)
    if failed:
        sys.exit(1)
