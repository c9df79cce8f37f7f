"""`tezi import`: real market data into the database."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from preprocess.features.derive import refresh_derived
from preprocess.imports.actions import ActionImporter
from preprocess.imports.bhavcopy import BhavcopyImporter
from preprocess.imports.financials import FinancialsImporter
from preprocess.imports.importer import Importer
from preprocess.imports.prices import PriceImporter
from preprocess.imports.run import Advance, run_import
from preprocess.imports.stocks import StockImporter
from preprocess.market.calendar import exchange_today
from preprocess.settings import load_settings
from preprocess.store import Writer, open_store

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group("import")
def import_group() -> None:
    """Bring market data into the database.

    PATH is a .csv, .csv.gz, .zip or .tar.gz file, or a folder of them. An import happens as a
    whole or not at all; a row that breaks a rule is refused with its line and reason, a file that
    is damaged or of another kind is refused whole, and the rest goes in. The exit status is 1 if
    a file was refused whole, or nothing was there to take. Importing a file twice does no harm.
    """


def _paths_and_report(command: Command) -> Command:
    report = click.option(
        "--json",
        "report_path",
        type=click.Path(dir_okay=False, writable=True, path_type=Path),
        metavar="FILE",
        help="Write the report there too, with the first 1,000 refusals.",
    )
    paths = click.argument(
        "paths",
        nargs=-1,
        required=True,
        type=click.Path(exists=True, path_type=Path),
        metavar="PATH...",
    )
    return report(paths(command))


@import_group.command("prices")
@click.option(
    "--adjusted",
    is_flag=True,
    help="The prices are adjusted for splits and bonuses already; this is remembered.",
)
@_paths_and_report
def prices_command(paths: tuple[Path, ...], report_path: Path | None, adjusted: bool) -> None:
    """Daily prices, as traded unless --adjusted is given.

    Columns: bse_code, date, open, high, low, close, volume and, if it is there, prev_close.

    \b
    tezi import prices prices_nse.csv.gz
    tezi import prices --adjusted prices.csv.gz
    """
    _run(PriceImporter(_today(), adjusted=adjusted), paths, report_path)


@import_group.command("bhavcopy")
@_paths_and_report
def bhavcopy_command(paths: tuple[Path, ...], report_path: Path | None) -> None:
    """The exchange's own daily files, EQddmmyy.CSV. Only equities (SC_TYPE Q) are taken.

    \b
    tezi import bhavcopy bse_bhavcopy_2015_raw.tar.gz
    tezi import bhavcopy EQ050115.CSV downloads/2015/
    """
    _run(BhavcopyImporter(_today()), paths, report_path)


@import_group.command("financials")
@_paths_and_report
def financials_command(paths: tuple[Path, ...], report_path: Path | None) -> None:
    """Quarterly results, in crore rupees; EPS in rupees a share.

    Columns: bse_code, fiscal_year and quarter (or label, such as Q3FY25), period_end, revenue_cr,
    pat_cr, operating_profit_cr, eps (or eps_rs) and, if it is there, announced_on (or
    announce_date_proxy).

    \b
    tezi import financials financials.csv.gz
    """
    _run(FinancialsImporter(_today()), paths, report_path)


@import_group.command("actions")
@_paths_and_report
def actions_command(paths: tuple[Path, ...], report_path: Path | None) -> None:
    """Bonuses, splits, rights issues and demergers.

    Columns: bse_code, ex_date, kind, subject and, if it is there, ratio. The ratio of a bonus or
    a split is read from the subject.

    \b
    tezi import actions corporate_actions.csv.gz
    """
    _run(ActionImporter(_today()), paths, report_path)


@import_group.command("stocks")
@_paths_and_report
def stocks_command(paths: tuple[Path, ...], report_path: Path | None) -> None:
    """The stock list.

    Columns: bse_code and any of nse_symbol, company_name (or name), isin (or isin_2020),
    industry, status. An empty cell erases nothing.

    \b
    tezi import stocks symbol_map.csv
    """
    _run(StockImporter(), paths, report_path)


def _today() -> date:
    return exchange_today(datetime.now(UTC))


def _run(importer: Importer[T], paths: tuple[Path, ...], report_path: Path | None) -> None:
    if report_path is not None and not report_path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {report_path.parent}", param_hint="--json")
    settings = load_settings()
    began = time.monotonic()
    store = open_store(settings, write=True)
    try:
        with _progress(importer.kind) as (advance, derived):

            def derive(writer: Writer) -> None:
                derived()
                refresh_derived(writer, circuit_pct=settings.circuit_pct)

            report = run_import(store, importer, paths, derive=derive, advance=advance)
    finally:
        store.close()
    report.show(Console())
    if report_path is not None:
        _write(report_path, json.dumps(report.to_json(), indent=2) + "\n")
    click.echo(f"Stocks changed: {report.stocks_changed:,}, in {time.monotonic() - began:.1f} s.")
    if not report.complete:
        raise SystemExit(1)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.FileError(
            str(path), f"the import is done, its report is not: {error}"
        ) from None


@contextmanager
def _progress(kind: str) -> Iterator[tuple[Advance, Callable[[], None]]]:
    """A bar of bytes read on standard error, if that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(f"Importing {kind}", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        def derived() -> None:
            bar.update(task, description="Computing labels and monthly stamps", total=None)

        yield advance, derived
