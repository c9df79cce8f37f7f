"""`tezi maintain`: the weekly care of the database and the data folder."""

import json
import sys
from contextlib import closing
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from gateway.cli.progress import progress_bar
from gateway.maintenance.run import CHORES, Done, chosen, maintain
from preprocess.files import atomic_write
from preprocess.settings import load_settings
from preprocess.store import open_upkeep


@click.command("maintain")
@click.option(
    "--only",
    metavar="TASK,...",
    help=f"Some of the tasks: {', '.join(chore.name for chore in CHORES)}.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report to this file too.",
)
def maintain_command(only: str | None, json_file: Path | None) -> None:
    """Remove what killed runs left, tidy the database, count statistics.

    It may run while the stack serves: readers go on, imports wait. Only one maintenance of a
    database runs at a time. The exit status is 1 if a task failed; the others are done all the
    same.

    \b
    tezi maintain
    tezi maintain --only vacuum,analyze --json /tmp/maintenance.json
    """
    chores = chosen(only.split(",") if only is not None else None)
    settings = load_settings()
    with closing(open_upkeep(settings)) as upkeep, progress_bar("Maintenance") as progress:
        done = maintain(upkeep, settings, chores, progress)
    Console().print(_table(done))
    if json_file is not None:
        document = {"tasks": [task.document() for task in done]}
        atomic_write(json_file, json.dumps(document, indent=2).encode() + b"\n")
    failed = [task for task in done if task.failed]
    for task in failed:
        click.secho(f"tezi: {task.name} failed: {task.detail}", fg="red", err=True)
    if failed:
        sys.exit(1)


def _table(done: list[Done]) -> Table:
    table = Table("task", "seconds", "MB before", "MB after", "what")
    for task in done:
        table.add_row(
            task.name,
            f"{task.seconds:.2f}",
            f"{task.bytes_before / 1e6:,.1f}",
            f"{task.bytes_after / 1e6:,.1f}",
            "failed: see below" if task.failed else task.detail,
        )
    return table
