"""`tezi up`: everything that serves, in one terminal."""

import asyncio
import logging
import sys
import time
from logging.handlers import RotatingFileHandler

import click

from gateway.cli.triton_lines import is_trouble
from gateway.stack.stack import run_stack
from preprocess.errors import StoreError
from preprocess.market.values import Listing
from preprocess.settings import Settings, load_settings
from preprocess.store import open_store

_LOG_BYTES = 20_000_000
_LOGS_KEPT = 3


@click.command("up")
@click.option("-v", "--verbose", is_flag=True, help="Show every line of Triton, not only warnings.")
@click.option(
    "--replicas",
    type=click.IntRange(1, 64),
    help="Gateways to start, from two on with nginx in front of them; default: TEZI_GATEWAYS.",
)
def up_command(verbose: bool, replicas: int | None) -> None:
    """Start Triton and the gateway, and keep them running until Ctrl-C.

    A server that ends, or that no longer gives the right answer, is started again. All lines go
    to logs/tezi.log in the data folder.

    \b
    tezi up
    tezi up --replicas 2
    TEZI_HTTP_PORT=9080 tezi up --verbose
    """
    settings = load_settings(**({} if replicas is None else {"gateways": replicas}))
    if sys.stdout.isatty() and "log_format" not in settings.model_fields_set:
        settings = settings.model_copy(update={"log_format": "text"})
    began = time.monotonic()
    store = open_store(settings, write=True)  # brings an older schema up to date
    try:
        listings = store.listings()
    finally:
        store.close()
    if not listings:
        raise StoreError("The database has no prices: run `tezi import prices FILE`.")
    log = _log(settings)

    def lines(name: str, line: str) -> None:
        log.info("%s | %s", name, line)
        if verbose or name != "triton" or is_trouble(line):
            click.echo(f"{name:8s}| {line}")

    def notice(text: str) -> None:
        log.info("tezi | %s", text)
        click.echo(f"{'tezi':8s}| {text}")

    def ready() -> None:
        click.echo(_greeting(settings, listings, time.monotonic() - began))
        sys.stdout.flush()

    asyncio.run(run_stack(settings, lines=lines, notice=notice, ready=ready))


def _log(settings: Settings) -> logging.Logger:
    folder = settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        folder / "tezi.log", maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log = logging.getLogger("tezi.up")
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(logging.INFO)
    return log


def _greeting(settings: Settings, listings: list[Listing], seconds: float) -> str:
    newest = max(listings, key=lambda listing: listing.newest_price)
    code, day = newest.stock.bse_code, newest.newest_price.isoformat()
    url = settings.http_url
    return f"""
Tezi is up after {seconds:.1f} s: {len(listings)} stocks, prices to {day}.

  console      {url}/
  API pages    {url}/docs
  Triton       http://{settings.triton_http_address} (HTTP), \
{settings.triton_grpc_address} (gRPC)

Ask for a prediction:

  curl -s {url}/api/v1/predict -H 'content-type: application/json' \\
    -d '{{"bse_code": "{code}", "prediction_date": "{day}"}}'

Ctrl-C stops everything.
"""
