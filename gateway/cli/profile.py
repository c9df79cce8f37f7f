"""`tezi profile`: where the time of a request goes."""

import asyncio
import json
from pathlib import Path

import click

from gateway.cli.progress import Advance, progress_bar
from gateway.cli.triton import running_triton, variant_option
from gateway.profiling import SEED, Profile, machine, run_profile
from preprocess.files import atomic_write
from preprocess.settings import Settings, load_settings


@click.command("profile")
@click.option(
    "--requests",
    type=click.IntRange(min=50),
    default=1_000,
    show_default=True,
    help="Number of single requests to time; of batches, a fifth of that.",
)
@variant_option
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the figures. Default: reports/profile.json in the data folder.",
)
def profile_command(requests: int, variant: str, json_file: Path | None) -> None:
    """Split the time of a request into gateway, transport, feature lookup and inference.

    It sends single requests, then batches of 100 stocks. Each split adds up to the caller's time,
    and names the three most expensive parts. It uses the Triton of a running `tezi up`, which
    should have no other load meanwhile; if there is none, it starts one.

    \b
    tezi profile
    tezi profile --requests 3000 --variant int8
    tezi profile --json /tmp/before.json
    """
    settings = load_settings()
    target = (json_file or settings.home / "reports" / "profile.json").absolute()
    command = f"tezi profile --requests {requests} --variant {variant}"
    with progress_bar("Requests") as advance:
        shapes = asyncio.run(_run(settings, requests, variant, advance))
    click.echo(f"{command} on {machine()}\n\n" + "\n".join(shape.text() for shape in shapes))
    document = {
        "command": command,
        "machine": machine(),
        "seed": SEED,
        "variant": variant,
        "shapes": [shape.document() for shape in shapes],
    }
    atomic_write(target, (json.dumps(document, indent=2) + "\n").encode())
    click.echo(f"Figures: {target}")


async def _run(settings: Settings, requests: int, variant: str, advance: Advance) -> list[Profile]:
    async with running_triton(settings):
        return await run_profile(settings, requests=requests, variant=variant, advance=advance)
