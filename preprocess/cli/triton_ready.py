"""`tezi triton-ready`: the probe of an orchestrator, which an open port would not answer."""

import asyncio

import click

from preprocess.errors import ServerError
from preprocess.runtime.stable_check import StableCheck
from preprocess.settings import load_settings


@click.command("triton-ready")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=5.0,
    show_default=True,
    help="Seconds that the answers may take.",
)
def triton_ready_command(timeout_s: float) -> None:
    """Ask Triton for the golden row of each variant: exit code 0 if all come back right, else 1.

    \b
    tezi triton-ready
    tezi triton-ready --timeout 2
    """
    try:
        asyncio.run(StableCheck(load_settings())(timeout_s))
    except TimeoutError as error:
        raise ServerError(f"Triton is not ready: {error}.") from None
    click.echo("Triton answers rightly.")
