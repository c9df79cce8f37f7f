"""`tezi import`, `delete-prices`, `actions`, `features`: market data in the database."""

import json
import re
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from gateway.cli.progress import progress_bar
from preprocess.errors import FeatureError, StoreError
from preprocess.features.derive import refresh_derived, stamp_months
from preprocess.imports.report import ImportReport
from preprocess.imports.run import Options, run_import
from preprocess.imports.sources import find_sources
from preprocess.imports.units import CRORES_IN
from preprocess.market.calendar import exchange_today, months_between
from preprocess.market.sessions import named_days
from preprocess.settings import load_settings
from preprocess.store import Store, open_existing_store, open_store

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


KINDS = ("prices", "bhavcopy", "financials", "actions", "stocks")


@click.command("import")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    metavar="[KIND] PATH...",
)
@click.option(
    "--adjusted",
    is_flag=True,
    help="Prices are already adjusted for splits and bonuses; the database records this.",
)
@click.option(
    "--unit",
    type=click.Choice(list(CRORES_IN)),
    help="Unit of the money in tables of results whose header names none.",
)
@click.option(
    "--json",
    "report_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Also write the report to this file, with the first 1,000 refusals.",
)
def import_command(
    paths: tuple[Path, ...], adjusted: bool, unit: str | None, report_path: Path | None
) -> None:
    """Import market data into the database.

    PATH is a file that BSE or NSE publishes, a CSV file of your own, an archive (.zip, .tar.gz) or
    a folder of such files, in any order: daily prices, price bands, corporate actions, lists of
    securities, results in XBRL or as tables, lists of filings. Each file is recognised by its
    header. docs/importing.md lists them.

    An import is one transaction. A row that breaks a rule is refused, with its line and the
    reason. A file that is damaged or of no known kind is refused whole. Everything else is
    imported. The exit status is 1 if a file was refused whole, or if there was nothing to import.
    Importing a file twice does no harm.

    KIND (prices, bhavcopy, financials, actions, stocks) refuses every file of another kind.

    \b
    tezi import downloads/2026-08-21/
    tezi import BhavCopy_BSE_CM_0_0_0_20260821_F_0000.CSV Corporate_Actions.csv
    tezi import prices --adjusted prices.csv.gz
    """
    kind = str(paths[0]) if str(paths[0]) in KINDS else None
    files = paths[1:] if kind else paths
    if not files:
        raise click.UsageError("Missing argument 'PATH...'.")
    if report_path is not None and not report_path.parent.is_dir():
        raise click.BadParameter(f"there is no folder {report_path.parent}", param_hint="--json")
    began = time.monotonic()
    report = import_files(import_options(kind, adjusted=adjusted, unit=unit), files)
    report.show(Console())
    if report_path is not None:
        try:
            report_path.write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise click.FileError(
                str(report_path), f"the import is done, its report is not: {error}"
            ) from None
    if report.nothing_new:
        click.echo("Nothing new: the database has all of it already.")
    click.echo(f"Stocks changed: {report.stocks_changed:,}, in {time.monotonic() - began:.1f} s.")
    if not report.complete:
        if not report.refused_files:
            click.secho("tezi: no file has a row that could be imported.", fg="red", err=True)
        raise SystemExit(1)


def import_options(
    kind: str | None = None, *, adjusted: bool = False, unit: str | None = None
) -> Options:
    """The options of an import that is made today."""
    settings = load_settings()
    return Options(
        exchange_today(datetime.now(UTC)),
        kind,
        adjusted,
        unit,
        settings.price_exchange,
        named_days(settings.sessions_file),
    )


def import_files(options: Options, paths: tuple[Path, ...]) -> ImportReport:
    """Import files, with a progress bar.

    Raises:
        StoreError: the database cannot be written; nothing of the import is kept.
    """
    for path in paths:
        if not path.exists():
            raise click.BadParameter(f"Path '{path}' does not exist.", param_hint="PATH...")
    settings = load_settings()
    # Where there is nothing to import, a mistyped data folder is not to get a database.
    found = any(source.path.is_file() for source in find_sources(paths))
    derive = partial(refresh_derived, circuit_pct=settings.circuit_pct)
    with (
        closing(
            open_store(settings, write=True) if found else open_existing_store(settings)
        ) as store,
        progress_bar(f"Importing {options.kind or 'files'}", of_bytes=True) as advance,
    ):
        return run_import(store, options, paths, derive=derive, advance=advance)


@click.command("delete-prices")
@click.argument("bse_codes", nargs=-1, required=True, metavar="CODE...")
@click.option(
    "--from", "first", type=click.DateTime(["%Y-%m-%d"]), required=True, help="First day to delete."
)
@click.option(
    "--to",
    "last",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Last day to delete; default: the first.",
)
def delete_prices_command(
    bse_codes: tuple[str, ...], first: datetime, last: datetime | None
) -> None:
    """Delete the daily prices of some stocks and days.

    This is for prices that should never have been imported; to correct a wrong one, import the
    right one. Labels and features that depend on them are computed again, and cached predictions
    become invalid.

    \b
    tezi delete-prices 500325 --from 2026-08-14
    tezi delete-prices 500325 532540 --from 2026-08-10 --to 2026-08-14
    """
    settings = load_settings()
    days = first.date(), (last or first).date()
    if days[1] < days[0]:
        raise click.BadParameter(f"it lies before --from {days[0]}", param_hint="--to")
    with closing(open_existing_store(settings)) as store:
        _require_stocks(store, bse_codes)
        with store.transaction() as writer:
            deleted = sum(writer.delete_prices(code, *days) for code in dict.fromkeys(bse_codes))
            if deleted:
                refresh_derived(writer, circuit_pct=settings.circuit_pct)
    click.echo(f"{deleted:,} daily prices deleted.")


@click.group("actions")
def actions_group() -> None:
    """List the corporate actions of a stock, and delete wrong ones."""


@actions_group.command("list")
@click.argument("bse_code", metavar="CODE")
def list_actions_command(bse_code: str) -> None:
    """List a stock's corporate actions: ex-date, kind, ratio, and the exchange's words.

    \b
    tezi actions list 500325
    """
    with closing(open_store(load_settings())) as store:
        _require_stocks(store, [bse_code])
        for action in store.actions_of(bse_code):
            ratio = "-" if action.ratio is None else f"{action.ratio:g}"
            click.echo(f"{action.ex_date}  {action.kind:<8}  {ratio:>6}  {action.subject}")


@actions_group.command("delete")
@click.argument("bse_code", metavar="CODE")
@click.option(
    "--ex-date", type=click.DateTime(["%Y-%m-%d"]), required=True, help="Ex-date of the action."
)
@click.option("--kind", help="Kind of the action, such as split; default: all of that day.")
def delete_action_command(bse_code: str, ex_date: datetime, kind: str | None) -> None:
    """Delete a corporate action that should never have been imported.

    Labels and features that depend on it are computed again, and cached predictions become
    invalid.

    \b
    tezi actions delete 500325 --ex-date 2024-10-28
    """
    settings, day = load_settings(), ex_date.date()
    with closing(open_existing_store(settings)) as store:
        _require_stocks(store, [bse_code])
        with store.transaction() as writer:
            wrong = [
                action
                for action in writer.actions_of(bse_code)
                if action.ex_date == day and kind in (None, action.kind)
            ]
            for action in wrong:
                writer.drop_action(bse_code, day, action.kind)
            if wrong:
                refresh_derived(writer, circuit_pct=settings.circuit_pct)
    click.echo(f"{len(wrong):,} corporate actions deleted.")


def _require_stocks(store: Store, bse_codes: Sequence[str]) -> None:
    unknown = sorted(set(bse_codes) - set(store.bse_codes()))
    if unknown:
        raise StoreError(f"Not in the database: {', '.join(unknown)}.")


@click.group("features")
def features_group() -> None:
    """Compute ahead of time the features that predictions only look up."""


@features_group.command("static")
@click.option("--month", metavar="YYYY-MM", help="One month; default: every month with prices.")
def static_command(month: str | None) -> None:
    """Compute the monthly features: sector and market-cap tier of each stock.

    Imports do this for the months that they affect; this command does it for all of them.

    \b
    tezi features static
    tezi features static --month 2026-08
    """
    if month is not None and not _MONTH.fullmatch(month):
        raise FeatureError(f"--month takes a month like 2026-08, not {month!r}.")
    with (
        closing(open_existing_store(load_settings())) as store,
        store.transaction() as writer,
    ):
        days = writer.price_days()
        if days is None:
            raise FeatureError("There are no prices yet; run `tezi import prices` first.")
        months = [month] if month else months_between(*days)
        stamp_months(writer, months)
        changed = len(writer.touched)
    click.echo(f"Computed {len(months)} month(s); {changed} stock(s) changed.")
