"""`tezi predict-all`: the evening run over every active stock."""

from contextlib import closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.own_triton import running_triton
from gateway.cli.progress import progress_bar
from gateway.evening.run import run_evening
from gateway.evening.selection import select
from preprocess.market.calendar import exchange_today
from preprocess.models.names import VARIANTS, Variant
from preprocess.settings import load_settings
from preprocess.store import open_store

_File = click.Path(dir_okay=False, path_type=Path)


@click.command("predict-all")
@click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Prediction date; default: the newest day that has prices.",
)
@click.option("--variant", type=click.Choice(VARIANTS), default="fp32", show_default=True)
@click.option("--codes", metavar="CODE,CODE...", help="Only these stocks.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many stocks.")
@click.option("--csv", type=_File, help="Another path for predictions.csv.")
@click.option("--json", type=_File, help="Another path for predictions.json.")
@click.option("--start", is_flag=True, help="Start Triton for this run if none answers.")
def predict_all_command(
    *,
    day: datetime | None,
    variant: Variant,
    codes: str | None,
    limit: int | None,
    csv: Path | None,
    json: Path | None,
    start: bool,
) -> None:
    """Score every active stock through the running Triton, and store the predictions.

    They go into the table daily_predictions and, with a report, into reports/predictions/DATE/ of
    the data folder, once all stocks are scored. After a failure, or to be sure, run the same
    command again. Stocks that cannot be scored are listed.

    \b
    tezi predict-all
    tezi predict-all --date 2026-08-14 --csv /srv/export/predictions.csv
    tezi predict-all --codes 500325,532540
    tezi predict-all --start
    """
    settings, now = load_settings(), datetime.now(UTC)
    with closing(open_store(settings, write=True)) as store:  # brings an older schema up to date
        selection = select(
            store,
            today=exchange_today(now),
            day=day.date() if day else None,
            codes=_listed(codes),
            limit=limit,
        )
        with progress_bar("Stocks") as advance:
            report = run_evening(
                settings,
                store,
                selection,
                variant=variant,
                now=now,
                advance=advance,
                triton=running_triton(settings) if start else nullcontext(),
                csv=csv and csv.absolute(),
                json=json and json.absolute(),
            )
    click.echo(report.to_markdown())
    click.echo("\n".join(report.files))
    if report.failed:
        raise SystemExit(1)


def _listed(codes: str | None) -> list[str]:
    """The codes between the commas; an empty list would mean the whole market."""
    found = [code.strip() for code in (codes or "").split(",") if code.strip()]
    if codes is not None and not found:
        raise click.BadParameter("names no stock", param_hint="--codes")
    return found
