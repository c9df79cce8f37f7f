"""`tezi predict`: ask the running service."""

import json
from datetime import UTC, datetime
from typing import Any

import click
import httpx
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from preprocess.errors import ServerError
from preprocess.market.calendar import exchange_today
from preprocess.models.names import VARIANTS
from preprocess.settings import load_settings

_TIMEOUT_S = 30.0
_BATCH = 100


@click.command("predict")
@click.argument("bse_codes", nargs=-1, required=True, metavar="CODE...")
@click.option(
    "--date", "day", metavar="YYYY-MM-DD", help="Prediction date; default: today in Mumbai."
)
@click.option("--variant", type=click.Choice(VARIANTS), default="fp32", show_default=True)
@click.option("--features", is_flag=True, help="Show the features as well.")
@click.option("--json", "as_json", is_flag=True, help="Print the service's own answer.")
def predict_command(
    bse_codes: tuple[str, ...], day: str | None, variant: str, features: bool, as_json: bool
) -> None:
    """Ask the running service for one stock or many.

    \b
    tezi predict 500325 --date 2026-08-14
    tezi predict 500325 532540 500180 --date 2026-08-14 --json
    """
    settings = load_settings()
    day = day or exchange_today(datetime.now(UTC)).isoformat()
    answers: list[dict[str, Any]] = []
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
        answers += _ask(f"{settings.http_url}/api/v1/batch_predict", {"predictions": items})
    if as_json:
        click.echo(json.dumps(answers if len(answers) > 1 else answers[0], indent=2))
    else:
        _show(answers, features=features)
    if any(answer["error"] for answer in answers):
        raise SystemExit(1)


def _ask(url: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        response = httpx.post(url, json=body, timeout=_TIMEOUT_S, trust_env=False)
    except httpx.TransportError as error:
        raise ServerError(
            f"No service answers at {url}: {error}. Start it with `tezi up`."
        ) from None
    if response.status_code != 200:
        raise ServerError(f"The service answers {response.status_code}: {response.text[:500]}")
    answers: list[dict[str, Any]] = response.json()
    return answers


def _show(answers: list[dict[str, Any]], *, features: bool) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("code", "symbol", "as of", "probability", "circuit?", "confidence", "model"):
        table.add_column(heading, no_wrap=True)
    table.title = f"Upper circuit on the trading day after {answers[0]['prediction_date']}?"
    for answer in answers:
        if answer["error"] is None:
            table.add_row(
                answer["bse_code"],
                answer["nse_symbol"],
                answer["as_of"],
                f"{answer['probability']:.6f}",
                "yes" if answer["predicted_label"] else "no",
                answer["confidence"],
                f"{answer['variant']} v{answer['model_version']}",
            )
    console = Console()
    if table.row_count:
        console.print(table)
    for answer in answers:
        if answer["error"]:
            console.print(f"[red]{answer['bse_code']}[/red]: {answer['error']['message']}")
        elif features:
            values = Table(f"{answer['bse_code']}: feature", "value")
            for name, value in answer["features"].items():
                values.add_row(name, "missing" if value is None else f"{value:.6g}")
            console.print(values)
