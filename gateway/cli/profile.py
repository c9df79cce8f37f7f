"""`tezi profile`: where the time of a request goes."""

import asyncio
import json
from pathlib import Path

import click

from gateway.cli.progress import progress_bar
from gateway.cli.triton import running_triton
from gateway.profiling.run import SEED, Advance, ShapeProfile, machine, run_profile
from preprocess.files import atomic_write
from preprocess.settings import Settings, load_settings


@click.command("profile")
@click.option(
    "--requests",
    type=click.IntRange(min=50),
    default=1_000,
    show_default=True,
    help="Single requests that are timed; batches are a fifth of that.",
)
# The GPU's graph cannot be run in this process beside Triton's own.
@click.option("--variant", type=click.Choice(["fp32", "int8"]), default="fp32", show_default=True)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the figures, with the flame graphs beside them. Default: "
    "reports/profile.json in the data folder.",
)
def profile_command(requests: int, variant: str, json_file: Path | None) -> None:
    """Split the time of a request over gateway, transport, feature lookup and inference.

    One stock a request, then 100: each split adds up to what the caller waited, and names its
    three dearest parts. The Triton of a running `tezi up` is used, and best left alone meanwhile;
    if there is none, one is started. With py-spy installed, flame graphs of the gateway are drawn.

    \b
    tezi profile
    tezi profile --requests 3000 --variant int8
    tezi profile --json /tmp/before.json
    """
    settings = load_settings()
    target = (json_file or settings.home / "reports" / "profile.json").absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    command = f"tezi profile --requests {requests} --variant {variant}"
    with progress_bar("Requests") as advance:
        shapes = asyncio.run(_run(settings, requests, variant, target.with_suffix(""), advance))
    text = f"{command} on {machine()}\n\n" + "\n".join(shape.text() for shape in shapes)
    click.echo(text)
    document = {
        "command": command,
        "machine": machine(),
        "seed": SEED,
        "variant": variant,
        "shapes": [shape.document() for shape in shapes],
    }
    atomic_write(target, (json.dumps(document, indent=2) + "\n").encode())
    drawn = [target.with_name(f"{target.stem}-{shape.name}.svg") for shape in shapes]
    flames = ", ".join(str(path) for path in drawn if path.is_file())
    click.echo(f"Figures: {target}")
    click.echo(f"Flame graphs: {flames or 'none: py-spy is missing, or may not look at processes'}")


async def _run(
    settings: Settings, requests: int, variant: str, flames: Path, advance: Advance
) -> list[ShapeProfile]:
    async with running_triton(settings):
        return await run_profile(
            settings, requests=requests, variant=variant, flames=flames, advance=advance
        )
