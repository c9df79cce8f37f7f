"""`tezi serve-triton`: Triton alone, where gateways run elsewhere."""

import asyncio
from pathlib import Path

import click

from gateway.cli.triton_lines import is_trouble
from gateway.stack.stack import serve_triton
from preprocess.settings import load_settings


@click.command("serve-triton")
@click.option("-v", "--verbose", is_flag=True, help="Show every line of Triton, not only warnings.")
@click.option(
    "--heartbeat",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file to touch each time that the golden rows come back right, for health checks.",
)
def serve_triton_command(verbose: bool, heartbeat: Path | None) -> None:
    """Start Triton alone, and keep it running until Ctrl-C or SIGTERM.

    It listens on TEZI_TRITON_HOST, and is watched and mended as under `tezi up`. Gateways in other
    containers share the data folder, and find it by that setting. Until a first version is
    published it waits.

    \b
    tezi serve-triton
    TEZI_TRITON_HOST=0.0.0.0 tezi serve-triton --heartbeat /tmp/golden-row
    """
    settings = load_settings()

    def lines(_: str, line: str) -> None:
        if verbose or is_trouble(line):
            click.echo(line)

    asyncio.run(serve_triton(settings, lines=lines, notice=click.echo, heartbeat=heartbeat))
