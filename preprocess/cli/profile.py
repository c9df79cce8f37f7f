"""`tezi profile`: where the time of a request goes."""

import asyncio
import json
from pathlib import Path

import click

from preprocess.cli.own_triton import running_triton
from preprocess.cli.progress import progress_bar
from preprocess.files import atomic_write
from preprocess.profiling.profile import Profile
from preprocess.profiling.run import Advance, run_profile
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
    help="Where to write the figures, with the text and the flame graphs beside them. Default: "
    "reports/profile.json in the data folder.",
)
def profile_command(requests: int, variant: str, json_file: Path | None) -> None:
    """Split the time of a request over gateway, transport, feature lookup and inference.

    One stock a request, then 100: each split adds up to what the caller waited, and names its
    three dearest parts. The Triton of a running `tezi up` is used, and best left alone meanwhile;
    if there is none, one is started for the profile. The gateway is always one of the profile's
    own, so that it can be sampled. docs/profiling.md says how to read the result.

    \b
    tezi profile
    tezi profile --requests 3000 --variant int8
    tezi profile --json /tmp/before.json
    """
    settings = load_settings()
    command = f"tezi profile --requests {requests} --variant {variant}"
    with progress_bar("Requests") as advance:
        profile = asyncio.run(_run(settings, requests, variant, command, advance))
    click.echo(profile.text())
    target = (json_file or settings.home / "reports" / "profile.json").absolute()
    written = _write(profile, target)
    click.echo(f"Figures: {target}, text and flame graphs: {', '.join(map(str, written))}")


async def _run(
    settings: Settings, requests: int, variant: str, command: str, advance: Advance
) -> Profile:
    async with running_triton(settings):
        return await run_profile(
            settings, requests=requests, variant=variant, command=command, advance=advance
        )


def _write(profile: Profile, target: Path) -> list[Path]:
    """The JSON document at `target`; returns what was written beside it."""
    document = json.dumps(profile.document(), indent=2) + "\n"
    atomic_write(target, document.encode())
    beside = {target.with_suffix(".txt"): profile.text()}
    for shape in profile.shapes:
        name = f"{target.stem}-{shape.shape.name}.svg"
        beside[target.with_name(name)] = shape.flame_graph()
    for path, text in beside.items():
        atomic_write(path, text.encode())
    return list(beside)
