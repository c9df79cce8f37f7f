"""`tezi restart`: parts of a running stack, one at a time."""

import asyncio

import click

from gateway.stack.rolling import PARTS, request_restart
from preprocess.settings import load_settings


@click.command("restart")
@click.argument("part", type=click.Choice(PARTS), default="gateways")
def restart_command(part: str) -> None:
    """Restart a PART of the stack that `tezi up` runs.

    gateways, the default: one after another, each when the others are ready; with two or more no
    request fails. nginx: new workers on its configuration as it is now in config/; no request
    fails. triton: until it is back, some seconds, only cached predictions are answered. all: these
    three, Triton first.

    \b
    tezi restart
    tezi restart nginx
    TEZI_DATA_DIR=data-b tezi restart all
    """
    asyncio.run(request_restart(load_settings(), part))
    click.echo(f"Restarted: {part}.")
