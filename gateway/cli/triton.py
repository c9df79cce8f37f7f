"""What several commands need of Triton: a server that runs, and the lines of its log to show."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from preprocess.models.names import VARIANTS
from preprocess.repository.model_server import server_is_live
from preprocess.settings import Settings

# Triton warns of these on every machine without a GPU, where nothing is wrong.
_NO_GPU = re.compile("CUDA driver|CudaDriverHelper|pinned")

variant_option = click.option(
    "--variant",
    type=click.Choice(VARIANTS),
    default="fp32",
    show_default=True,
    help="Variant of the model.",
)


def is_trouble(line: str) -> bool:
    """Whether a line of Triton's log is a warning or an error that matters."""
    return line[:1] in ("W", "E") and not _NO_GPU.search(line)


@asynccontextmanager
async def running_triton(settings: Settings) -> AsyncIterator[None]:
    """Use the Triton at the configured address, or start one that runs until the block ends.

    Raises:
        ServerError: one has to be started, and does not come up.
        ModelError: there is nothing to serve.
    """
    if await server_is_live(settings):
        yield
        return
    from gateway.stack.stack import triton_alone  # noqa: PLC0415 - takes 0.3 s

    async with triton_alone(
        settings,
        lines=lambda _, __: None,  # the error of a failed start quotes the server's last lines
        notice=lambda text: click.echo(text, err=True),
    ):
        yield
