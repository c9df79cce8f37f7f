"""`tezi up`, `tezi serve-triton`, `tezi restart`: the servers."""

import asyncio
import logging
import sys
import time
from contextlib import closing, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

import click

from gateway.cli.triton import is_trouble
from gateway.stack.data_folder import only_stack
from gateway.stack.ports import require_free_ports
from gateway.stack.rolling import PARTS, request_restart
from gateway.stack.stack import run_stack, serve_triton
from preprocess.errors import StoreError
from preprocess.market.values import Listing
from preprocess.repository.versions import require_published
from preprocess.settings import Settings, load_settings
from preprocess.store import open_existing_store

_LOG_BYTES = 20_000_000
_OLD_LOGS = 3

_verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Show every line of Triton's log, not only warnings."
)


@click.command("up")
@_verbose_option
@click.option(
    "--replicas",
    type=click.IntRange(1, 64),
    help="Number of gateways; two or more run behind nginx. Default: TEZI_GATEWAYS.",
)
@click.option("--demo", is_flag=True, help="Make a demo market first, if there is no market.")
@click.pass_context
def up_command(ctx: click.Context, verbose: bool, replicas: int | None, demo: bool) -> None:
    """Start Triton and the gateway, and keep them running until Ctrl-C.

    A server that ends or gives wrong answers is started again. The log is logs/tezi.log in the
    data folder.

    \b
    tezi up
    tezi up --replicas 2
    TEZI_HTTP_PORT=9080 tezi up --verbose
    """
    settings = load_settings(**({} if replicas is None else {"gateways": replicas}))
    if sys.stdout.isatty() and "log_format" not in settings.model_fields_set:
        settings = settings.model_copy(update={"log_format": "text"})
    if settings.home.is_dir():
        with only_stack(settings):
            pass
    require_free_ports(settings)  # before what takes long
    if demo:
        from gateway.cli.demo import demo_command  # noqa: PLC0415 - it imports training

        ctx.invoke(demo_command, if_missing=True)
    began = time.monotonic()
    with closing(open_existing_store(settings)) as store:
        listings = store.listings()
    if not listings:
        raise StoreError("The database has no prices: run `tezi import prices FILE`.")
    require_published(settings.versions_dir)
    log = _log(settings)

    def lines(name: str, line: str) -> None:
        log.info("%s | %s", name, line)
        if verbose or name != "triton" or is_trouble(line):
            _say(f"{name:8s}| {line}")

    def notice(text: str) -> None:
        log.info("tezi | %s", text)
        _say(f"{'tezi':8s}| {text}")

    def ready() -> None:
        _say(_greeting(settings, listings, time.monotonic() - began))

    asyncio.run(run_stack(settings, lines=lines, notice=notice, ready=ready))


def _say(text: str) -> None:
    """Print a line. A terminal that was closed, or a full disk, stops no server."""
    with suppress(OSError):
        click.echo(text)


def _log(settings: Settings) -> logging.Logger:
    folder = settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        folder / "tezi.log", maxBytes=_LOG_BYTES, backupCount=_OLD_LOGS, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.raiseExceptions = False  # nor does a full disk fill the terminal with traces
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

Request a prediction:

  curl -s {url}/api/v1/predict -H 'content-type: application/json' \\
    -d '{{"bse_code": "{code}", "prediction_date": "{day}"}}'

Ctrl-C stops everything.
"""


@click.command("serve-triton")
@_verbose_option
@click.option(
    "--heartbeat",
    type=click.Path(dir_okay=False, path_type=Path),
    help="For health checks: a file that is touched after each correct golden row.",
)
def serve_triton_command(verbose: bool, heartbeat: Path | None) -> None:
    """Start Triton alone, and keep it running until Ctrl-C or SIGTERM.

    This is for gateways that run elsewhere, such as in other containers: they share the data
    folder, and connect to TEZI_TRITON_HOST, on which this Triton listens. It is watched and
    repaired as under `tezi up`. Until a first version is published it waits.

    \b
    tezi serve-triton
    TEZI_TRITON_HOST=0.0.0.0 tezi serve-triton --heartbeat /tmp/golden-row
    """
    settings = load_settings()

    def lines(_: str, line: str) -> None:
        if verbose or is_trouble(line):
            _say(line)

    asyncio.run(serve_triton(settings, lines=lines, notice=_say, heartbeat=heartbeat))


@click.command("restart")
@click.argument("part", type=click.Choice(PARTS), default="gateways")
def restart_command(part: str) -> None:
    """Restart one PART of the stack that `tezi up` runs.

    gateways (the default): one after another, each when the others are ready; with two or more no
    request fails. nginx: new workers with the current configuration in config/; no request fails.
    triton: for the few seconds until it is back, only cached predictions are available. all:
    Triton, then the gateways, then nginx.

    \b
    tezi restart
    tezi restart nginx
    TEZI_DATA_DIR=data-b tezi restart all
    """
    asyncio.run(request_restart(load_settings(), part))
    click.echo(f"Restarted: {part}.")
