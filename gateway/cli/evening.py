"""`tezi evening`: the day's files in, and the whole market scored."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.market import import_files, import_options
from gateway.cli.predict import score_market
from gateway.cli.report import IMPORT_FILE, write_data_report
from gateway.cli.triton import variant_option
from gateway.evening.prediction import SENTENCES
from gateway.evening.report import Report
from preprocess.errors import TeziError
from preprocess.files import atomic_write
from preprocess.imports.report import ImportReport
from preprocess.models.names import Variant
from preprocess.settings import Settings, load_settings

_NAMED = 5


@click.command("evening")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@variant_option
@click.option("--start", is_flag=True, help="Start a Triton for this run if none is running.")
def evening_command(paths: tuple[Path, ...], variant: Variant, start: bool) -> None:
    """Import the day's files, then score every active stock: what schedules call.

    The list, its report and that of the import go to reports/predictions/DATE/ of the data
    folder, the report on the data to reports/data/DATE/, the predictions also to the table
    daily_predictions. Running gateways put them into Redis by themselves. Repeated, it changes
    nothing.

    The exit status is 0 if everything went well. It is 1 if a file was refused, which stops
    nothing else, if a stock had no valid answer, or if the run ended with an error.

    \b
    tezi evening downloads/2026-08-21/
    tezi evening /srv/bhavcopy --start
    """
    settings, now, began = load_settings(), datetime.now(UTC), time.monotonic()
    imported = import_files(import_options(), paths)
    took = time.monotonic() - began
    click.echo("\n".join(_of_import(imported)))
    report = score_market(settings, variant=variant, start=start, now=now)
    folder = _keep(report, imported)
    reported = time.monotonic()
    click.echo("\n".join([*_of_predictions(report, folder), _of_data(settings, report)]))
    steps = {"import": took, **report.seconds, "data report": time.monotonic() - reported}
    click.echo(
        f"Took {time.monotonic() - began:.1f} s: "
        + ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps.items())
    )
    if report.failed or not imported.complete:
        raise SystemExit(1)


def _of_import(report: ImportReport) -> list[str]:
    formats = ", ".join(f"{name} {count:,}" for name, count in sorted(report.formats.items()))
    tally = report.tally
    lines = [
        f"Files: {report.files:,} read{f' ({formats})' if formats else ''}, "
        f"{report.refused_files:,} refused.",
        f"Rows: {tally.added:,} new, {tally.changed:,} changed, {tally.unchanged:,} as known, "
        f"{report.left_out:,} left out, {report.refused:,} refused; "
        f"{report.stocks_changed:,} stocks changed.",
    ]
    refused = [*report.first_refused_files, *report.first_refused]
    count = report.refused_files + report.refused
    lines += [f"Refused: {refused[0]}{_more(count)}"] if refused else []
    lines += [f"Note: {report.notes[0]}{_more(len(report.notes))}"] if report.notes else []
    return lines


def _of_predictions(report: Report, folder: Path) -> list[str]:
    skipped = "; ".join(
        f"{len(codes):,} {SENTENCES[reason]}" for reason, codes in report.skipped.items()
    )
    newest = report.as_of.get(report.prediction_date.isoformat(), 0)
    first = ", ".join(
        f"{row.bse_code} {row.nse_symbol} {row.probability:.3f}"
        for row in report.top[: min(_NAMED, report.announced)]
    )
    return [
        f"Scored: {report.scored:,} of {report.stocks:,} stocks for {report.prediction_date} by "
        f"{report.variant} v{report.model_version} ({report.target}), {report.positives:,} "
        f"positive. Skipped: {skipped or 'none'}.",
        f"Prices: {newest:,} have one of that day, {report.scored - newest:,} an older one.",
        f"Announced results: {report.announced:,}{f'; first {first}' if first else ''}.",
        f"Reports: {folder}"
        + ("; the market changed meanwhile: run it again" if report.market_changed else ""),
    ]


def _of_data(settings: Settings, report: Report) -> str:
    """The predictions are there already: a report that fails takes nothing back."""
    try:
        found, page = write_data_report(settings, report.prediction_date)
    except (TeziError, click.FileError) as error:
        return f"Data: no report. {error}"
    return f"Data: {found.verdict} {page}"


def _more(count: int) -> str:
    return f" (and {count - 1:,} more)" if count > 1 else ""


def _keep(report: Report, imported: ImportReport) -> Path:
    """The report of the import, next to that of the predictions; their folder."""
    folder = Path(report.files[-1]).parent
    document = json.dumps(imported.to_json(), indent=2) + "\n"
    try:
        atomic_write(folder / IMPORT_FILE, document.encode())
    except OSError as error:
        raise click.FileError(str(folder / IMPORT_FILE), f"{error.strerror}") from None
    return folder
