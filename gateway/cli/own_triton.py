"""The Triton of a command: the one that runs, or one of its own while the command does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from preprocess.repository.model_server import server_is_live
from preprocess.settings import Settings


@asynccontextmanager
async def running_triton(settings: Settings) -> AsyncIterator[None]:
    """A Triton that answers on the configured address until the block ends.

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
        lines=lambda _, __: None,  # a server that does not start says its last lines itself
        notice=lambda text: click.echo(text, err=True),
    ):
        yield
