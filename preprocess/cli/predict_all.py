"""`tezi predict-all`: the evening run over every active stock."""

import asyncio
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import click

from preprocess.cli.evening_report import show
from preprocess.cli.own_triton import running_triton
from preprocess.cli.progress import progress_bar
from preprocess.evening.report import Report
from preprocess.evening.run import Order, run_evening
from preprocess.evening.selection import Wish
from preprocess.evening.work import Advance
from preprocess.repository.names import VARIANTS, Variant
from preprocess.settings import Settings, load_settings
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
@click.option("--csv", type=_File, help="Another place for predictions.csv.")
@click.option("--json", type=_File, help="Another place for predictions.json.")
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

    They go into the table daily_predictions and, with a report, into
    reports/predictions/DATE/ of the data folder. A run that was broken off goes on where it was;
    one that is repeated changes nothing. Stocks that cannot be scored are listed.

    \b
    tezi predict-all
    tezi predict-all --date 2026-08-14 --csv /srv/export/predictions.csv
    tezi predict-all --codes 500325,532540
    tezi predict-all --start
    """
    settings = load_settings()
    order = Order(
        wish=Wish(day.date() if day else None, _listed(codes), limit),
        variant=variant,
        csv=csv and csv.absolute(),
        json=json and json.absolute(),
    )
    with progress_bar("Stocks") as advance:
        report = asyncio.run(_run(settings, order, advance, start=start))
    show(report)
    if report.failed:
        raise SystemExit(1)


async def _run(settings: Settings, order: Order, advance: Advance, *, start: bool) -> Report:
    store = open_store(settings, write=True)  # brings an older schema up to date
    try:
        async with running_triton(settings) if start else nullcontext():
            return await run_evening(settings, store, order, now=datetime.now(UTC), advance=advance)
    finally:
        store.close()


def _listed(codes: str | None) -> tuple[str, ...]:
    """The codes between the commas; a list of none would mean the whole market."""
    if codes is None:
        return ()
    found = tuple(code.strip() for code in codes.split(",") if code.strip())
    if not found:
        raise click.BadParameter("names no stock", param_hint="--codes")
    return found
