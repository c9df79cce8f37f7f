"""Parts of a running stack are restarted one at a time, while the others answer."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from signal import SIGHUP

from preprocess.errors import ServerError
from preprocess.repository.releases import Releases
from preprocess.runtime.gateways import gateway_environment, replicas, wait_until_ready
from preprocess.runtime.nginx import check_config, reload_gently, write_config
from preprocess.runtime.ports import free_ports
from preprocess.runtime.servers import Lines, Notice, Stack, triton_server
from preprocess.runtime.supervisor import Supervisor
from preprocess.settings import Settings

PARTS = ("gateways", "nginx", "triton", "all")

_READY_S = 60.0


class Rolling:
    """Restarts of a stack's parts, one at a time."""

    def __init__(self, settings: Settings, stack: Stack, *, lines: Lines, notice: Notice) -> None:
        """`lines(name, line)` gets what a second Triton prints, `notice(text)` what is done."""
        self._settings = settings
        self._stack = stack
        self._lines = lines
        self._notice = notice
        self._at_work = asyncio.Lock()

    async def restart(self, part: str) -> None:
        """Restart one of PARTS; return when it is done and everything is ready.

        Raises:
            ServerError: another restart is under way, there is no such part, or something does not
                come back. What has not been touched by then goes on as it was.
        """
        if self._at_work.locked():
            raise ServerError("Another restart is under way: wait for its end.")
        async with self._at_work:
            if part in ("triton", "all"):
                await self._triton()
            if part == "gateways":
                await self._gateways(replicas(self._settings))
            if part in ("nginx", "all"):
                await self._nginx()

    async def _gateways(self, anew: Mapping[str, Settings]) -> None:
        """Start each gateway anew with the settings given, when all are ready to stand in."""
        for name, own in anew.items():
            await wait_until_ready([o.http_url for o in anew.values()], timeout_s=_READY_S)
            supervisor = self._stack.gateways[name]
            supervisor.server = replace(supervisor.server, environment=gateway_environment(own))
            await supervisor.restart()
            await wait_until_ready([own.http_url], timeout_s=_READY_S)

    async def _nginx(self) -> None:
        """New workers on the configuration as it is now; the old ones finish what they have."""
        nginx = self._stack.nginx
        if nginx is None or nginx.child is None:
            raise ServerError("There is no nginx here: it runs before two gateways or more.")
        await asyncio.to_thread(partial(write_config, self._settings))
        await check_config(self._settings)
        await reload_gently(self._settings.nginx_dir, partial(nginx.child.tell, SIGHUP))
        self._notice("nginx: runs on its configuration as it is now")

    async def _triton(self) -> None:
        """A second Triton takes over while the first is started anew.

        The gateways are led to it and back, one at a time.
        """
        beside = self._settings.model_copy(
            update=dict(
                zip(
                    ("triton_http_port", "triton_grpc_port", "triton_metrics_port"),
                    free_ports(self._settings.triton_host, 3),
                    strict=True,
                )
            )
        )
        spare = Supervisor(
            replace(triton_server(beside, notice=self._notice), name="spare"),
            lines=self._lines,
            notice=self._notice,
        )
        life = asyncio.create_task(spare.run(), name="spare")
        up = asyncio.create_task(spare.up.wait())
        try:
            await asyncio.wait({life, up}, return_when=asyncio.FIRST_COMPLETED)
            if life.done():
                life.result()
            await Releases(beside, notice=self._notice).reconcile()
            ports = {
                name: getattr(beside, name) for name in ("triton_http_port", "triton_grpc_port")
            }
            moved = {
                name: own.model_copy(update=ports) for name, own in replicas(self._settings).items()
            }
            trouble = None
            try:
                await self._gateways(moved)
                await self._first_triton()
            except ServerError as error:
                trouble = error
            await self._gateways(replicas(self._settings))
            if trouble is not None:
                raise trouble
        finally:
            up.cancel()
            life.cancel()
            with suppress(asyncio.CancelledError, ServerError):
                await life

    async def _first_triton(self) -> None:
        """Start it anew, and wait however long that takes: the second one answers meanwhile."""
        try:
            await self._stack.triton.restart()
        except ServerError as error:
            self._notice(f"{error} The second one answers until it does.")
            await self._stack.triton.up.wait()
        await Releases(self._settings, notice=self._notice).reconcile()
