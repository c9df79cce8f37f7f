"""Triton by itself for as long as it is wanted: what a container runs."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from preprocess.errors import ServerError
from preprocess.repository.versions import version_numbers
from preprocess.runtime.heartbeat import Heartbeat
from preprocess.runtime.ports import require_free_ports
from preprocess.runtime.servers import Lines, Notice, triton_server
from preprocess.runtime.signals import stop_signal
from preprocess.runtime.stack import only_stack
from preprocess.runtime.supervisor import Supervisor
from preprocess.settings import Settings

_LOOK_S = 0.5


async def serve_triton(
    settings: Settings, *, lines: Lines, notice: Notice, heartbeat: Path | None = None
) -> None:
    """Run Triton, watched as `tezi up` watches it, until SIGINT or SIGTERM.

    Until a first version is published it waits. `heartbeat` is touched each time that the golden
    rows come back right. In containers of their own several serve one data folder.

    Raises:
        ServerError: a port is taken, a stack runs on the data folder, or it does not come up.
        ModelError: none of the published versions is intact.
    """
    stopped = stop_signal()
    with only_stack(settings, shared=True):
        require_free_ports(settings, gateway=False)
        server = triton_server(settings, notice=notice)
        if heartbeat is not None:
            server = replace(server, check=Heartbeat(server.check, heartbeat))

        async def life() -> None:
            await _first_version(settings, notice)
            await Supervisor(server, lines=lines, notice=notice).run()

        serving = asyncio.create_task(life(), name=server.name)
        stop = asyncio.create_task(stopped.wait())
        try:
            await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            notice("stopping")
        finally:
            stop.cancel()
            serving.cancel()
            with suppress(asyncio.CancelledError, ServerError):
                await serving


async def _first_version(settings: Settings, notice: Notice) -> None:
    if version_numbers(settings.versions_dir):
        return
    notice(f"waiting until a first version is published in {settings.versions_dir}")
    while not version_numbers(settings.versions_dir):
        await asyncio.sleep(_LOOK_S)
