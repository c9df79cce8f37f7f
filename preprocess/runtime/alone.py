"""Triton without a gateway, for a command that needs it while it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from preprocess.errors import ServerError
from preprocess.runtime.ports import require_free_ports
from preprocess.runtime.servers import Lines, Notice, triton_server
from preprocess.runtime.stack import only_stack
from preprocess.runtime.supervisor import Supervisor
from preprocess.settings import Settings


@asynccontextmanager
async def triton_alone(settings: Settings, *, lines: Lines, notice: Notice) -> AsyncIterator[None]:
    """Triton serving, watched as `tezi up` watches it, until the block ends.

    Raises:
        ServerError: a port is taken, a stack runs on the data folder, or it does not come up.
        ModelError: there is nothing to serve.
    """
    with only_stack(settings):
        require_free_ports(settings, gateway=False)
        triton = Supervisor(triton_server(settings, notice=notice), lines=lines, notice=notice)
        life = asyncio.create_task(triton.run(), name=triton.server.name)
        up = asyncio.create_task(triton.up.wait())
        try:
            await asyncio.wait({life, up}, return_when=asyncio.FIRST_COMPLETED)
            if life.done():
                life.result()
            yield
        finally:
            up.cancel()
            life.cancel()
            with suppress(asyncio.CancelledError, ServerError):
                await life
