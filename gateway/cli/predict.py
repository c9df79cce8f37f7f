"""`tezi predict` and `tezi predict-all`: predictions from the gateway, and for the whole market."""

import json
from collections.abc import Sequence
from contextlib import closing, nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import httpx
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gateway.cli.progress import progress_bar
from gateway.cli.triton import running_triton, variant_option
from preprocess.errors import ServerError
from preprocess.market.calendar import exchange_today
from preprocess.market.sessions import named_days
from preprocess.models.names import Variant
from preprocess.settings import Settings, load_settings
from preprocess.store import open_existing_store

if TYPE_CHECKING:
    from gateway.evening.report import Report

_TIMEOUT_S = 30.0
_BATCH = 100

_File = click.Path(dir_okay=False, path_type=Path)


@click.command("predict")
@click.argument("bse_codes", nargs=-1, required=True, metavar="CODE...")
@click.option(
    "--date", "day", metavar="YYYY-MM-DD", help="Prediction date; default: today in Mumbai."
)
@variant_option
@click.option("--features", is_flag=True, help="Also show the features.")
@click.option("--json", "as_json", is_flag=True, help="Print the response of the service as JSON.")
def predict_command(
    bse_codes: tuple[str, ...], day: str | None, variant: str, features: bool, as_json: bool
) -> None:
    """Request predictions from the running service, for one stock or many.

    The exit status is 1 if a stock has no prediction.

    \b
    tezi predict 500325 --date 2026-08-14
    tezi predict 500325 532540 500180 --date 2026-08-14 --json
    """
    settings = load_settings()
    day = day or exchange_today(datetime.now(UTC)).isoformat()
    results: list[dict[str, Any]] = []
    for start in range(0, len(bse_codes), _BATCH):
        items = [
            {
                "bse_code": code,
                "prediction_date": day,
                "variant": variant,
                "include_features": features,
            }
            for code in bse_codes[start : start + _BATCH]
        ]
        url = f"{settings.http_url}/api/v1/batch_predict"
        results += _post(url, {"predictions": items}, settings.read_key)
    if as_json:
        click.echo(json.dumps(results if len(results) > 1 else results[0], indent=2))
    else:
        _show(results, features=features)
    if any(result["error"] for result in results):
        raise SystemExit(1)


def _post(url: str, body: dict[str, Any], key: str) -> list[dict[str, Any]]:
    headers = {"X-API-Key": key} if key else {}
    try:
        response = httpx.post(url, json=body, headers=headers, timeout=_TIMEOUT_S, trust_env=False)
    except httpx.TransportError as error:
        raise ServerError(
            f"No service answers at {url}: {error}. Start it with `tezi up`."
        ) from None
    if response.status_code != 200:
        raise ServerError(f"The service answers {response.status_code}: {response.text[:500]}")
    results: list[dict[str, Any]] = response.json()
    return results


def _show(results: list[dict[str, Any]], *, features: bool) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in (
        "code",
        "symbol",
        "as of",
        "announced",
        "prob.",
        "label",
        "margin",
        "model",
    ):
        table.add_column(heading, no_wrap=True)
    target = next((result["target"] for result in results if not result["error"]), None)
    session = next((result["next_session"] for result in results if not result["error"]), None)
    table.title = f"{target} on {session}, asked for {results[0]['prediction_date']}?"
    for result in results:
        if result["error"] is None:
            table.add_row(
                result["bse_code"],
                result["nse_symbol"],
                result["as_of"],
                result["announced_on"] or "no",
                f"{result['probability']:.4f}",
                "yes" if result["predicted_label"] else "no",
                f"{result['margin']:+.2f}",
                f"{result['variant']} v{result['model_version']}",
            )
    console = Console()
    if table.row_count:
        console.print(table)
    for result in results:
        if result["error"]:
            console.print(f"[red]{result['bse_code']}[/red]: {result['error']['message']}")
        elif features:
            values = Table(f"{result['bse_code']}: feature", "value")
            for name, value in result["features"].items():
                values.add_row(name, "missing" if value is None else f"{value:.6g}")
            console.print(values)


@click.command("predict-all")
@click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Prediction date; default: the newest day that has prices.",
)
@variant_option
@click.option("--codes", metavar="CODE,CODE...", help="Score only these stocks.")
@click.option("--limit", type=click.IntRange(min=1), help="Score only the first N stocks.")
@click.option("--csv", type=_File, help="Write predictions.csv to this path instead.")
@click.option("--json", type=_File, help="Write predictions.json to this path instead.")
@click.option("--start", is_flag=True, help="Start a Triton for this run if none is running.")
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

    They are written once all stocks are scored: into the table daily_predictions and, with a
    report, into reports/predictions/DATE/ of the data folder. Stocks that cannot be scored are
    listed. After a failure run the same command again; a repeated run does no harm.

    \b
    tezi predict-all
    tezi predict-all --date 2026-08-14 --csv /srv/export/predictions.csv
    tezi predict-all --codes 500325,532540
    tezi predict-all --start
    """
    report = score_market(
        load_settings(),
        variant=variant,
        start=start,
        now=datetime.now(UTC),
        day=day.date() if day else None,
        codes=_split(codes),
        limit=limit,
        csv=csv and csv.absolute(),
        json=json and json.absolute(),
    )
    click.echo(report.to_markdown())
    click.echo("\n".join(report.files))
    if report.failed:
        raise SystemExit(1)


def score_market(
    settings: Settings,
    *,
    variant: Variant,
    start: bool,
    now: datetime,
    day: date | None = None,
    codes: Sequence[str] = (),
    limit: int | None = None,
    csv: Path | None = None,
    json: Path | None = None,
) -> "Report":
    """Score the active stocks, or some, with a progress bar; with `start` by a Triton of its own.

    Raises:
        TeziError: no Triton answers, or the database refused; nothing has been written.
    """
    from gateway.evening.run import run_evening  # noqa: PLC0415 - `tezi predict` needs no gRPC
    from gateway.evening.selection import select  # noqa: PLC0415 - the same

    with closing(open_existing_store(settings)) as store:
        selection = select(
            store,
            today=exchange_today(now),
            day=day,
            codes=codes,
            limit=limit,
            max_age_sessions=settings.max_price_age_sessions,
            named_days=named_days(settings.sessions_file),
        )
        with progress_bar("Stocks") as advance:
            return run_evening(
                settings,
                store,
                selection,
                variant=variant,
                now=now,
                advance=advance,
                triton=running_triton(settings) if start else nullcontext(),
                csv=csv,
                json=json,
            )


def _split(codes: str | None) -> list[str]:
    """The codes between the commas; an empty list would mean the whole market."""
    found = [code.strip() for code in (codes or "").split(",") if code.strip()]
    if codes is not None and not found:
        raise click.BadParameter("names no stock", param_hint="--codes")
    return found
