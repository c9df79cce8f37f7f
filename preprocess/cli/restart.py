"""`tezi restart`: parts of a running stack, one at a time."""

import asyncio

import click

from preprocess.runtime.control import ask
from preprocess.runtime.rolling import PARTS
from preprocess.settings import Settings, load_settings


@click.command("restart")
@click.argument("part", type=click.Choice(PARTS), default="gateways")
def restart_command(part: str) -> None:
    """Restart a PART of the stack that `tezi up` runs, while the rest of it answers.

    gateways, the default: one after another, each when the others are ready. nginx: new workers on
    its configuration as it is now in config/. triton: a second one answers meanwhile, to which the
    gateways are led and back; who asks Triton itself has to wait. all: triton, gateways and nginx.

    With two gateways or more no request fails. With one there are some seconds without any.

    \b
    tezi restart
    tezi restart nginx
    TEZI_DATA_DIR=data-b tezi restart all
    """
    asyncio.run(_restart(load_settings(), part))


async def _restart(settings: Settings, part: str) -> None:
    async for news in ask(settings, f"restart {part}"):
        click.echo(news)
    click.echo(f"Restarted: {part}.")
