"""`tezi report data`: whether the market data are sound."""

import json
from contextlib import closing
from datetime import date, datetime
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from preprocess.files import atomic_write
from preprocess.market.sessions import named_days
from preprocess.quality.checks import SHOWN, Refused
from preprocess.quality.report import DataReport, data_report
from preprocess.settings import Settings, load_settings
from preprocess.store import open_store

IMPORT_FILE = "import.json"


@click.group("report")
def report_group() -> None:
    """Report on the market data."""


@report_group.command("data")
@click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Look at the data up to this day; default: the newest day that has prices.",
)
def data_command(day: datetime | None) -> None:
    """Check the market data: gaps, jumps, bands, volumes, dates, names that have gone, refusals.

    A page with plots and the same as JSON go to reports/data/DATE/ of the data folder. What is
    found is no error: the exit status is 0. docs/data-report.md says what each check looks for.

    \b
    tezi report data
    tezi report data --date 2026-08-14
    """
    report, page = write_data_report(load_settings(), day.date() if day else None)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=f"Market data up to {report.day}")
    for heading in ("check", "found", "of", "share"):
        table.add_column(heading, justify="left" if heading == "check" else "right")
    for check in report.checks:
        style = "yellow" if check.look else None
        of = f"{check.of:,} {check.unit}"
        table.add_row(check.title, f"{check.found:,}", of, f"{check.share:.2%}", style=style)
    Console().print(table)
    click.echo(f"{report.verdict}\n{page}")


def write_data_report(settings: Settings, day: date | None = None) -> tuple[DataReport, Path]:
    """Write report.html and report.json of a day (None: the newest); the page's path.

    Raises:
        StoreError: there are no prices up to the day, or the database cannot be read.
        click.FileError: a file cannot be written.
    """
    from preprocess.quality.page import html_page  # noqa: PLC0415 - matplotlib takes half a second

    with closing(open_store(settings)) as store:
        report, bars = data_report(
            store,
            day,
            max_age_sessions=settings.max_price_age_sessions,
            named=named_days(settings.sessions_file),
            refused=_refused(settings.home / "reports" / "predictions", day),
        )
    folder = settings.home / "reports" / "data" / report.day.isoformat()
    page = folder / "report.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(page, html_page(report, bars).encode())
        atomic_write(folder / "report.json", report.to_json())
    except OSError as error:
        raise click.FileError(str(folder), f"{error.strerror}") from None
    return report, page


def _refused(evenings: Path, day: date | None) -> Refused | None:
    """What the import of the newest evening up to a day refused; None without one."""
    last = (day or date.max).isoformat()
    files = [file for file in evenings.glob(f"*/{IMPORT_FILE}") if file.parent.name <= last]
    if not files:
        return None
    try:
        found = json.loads(max(files).read_bytes())
        rows, files_ = found["refused"], found["refused_files"]
        first = [f"{each['file']}: {each['reason']}" for each in files_["first"]] + [
            f"{each['file']}, line {each['line']}: {each['detail']}" for each in rows["first"]
        ]
        return Refused(
            found["rows"] + rows["total"], rows["total"] + files_["total"], first[:SHOWN]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
