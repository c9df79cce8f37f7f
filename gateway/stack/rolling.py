"""`tezi restart`: restarts the parts of a running stack one at a time.

The command writes a request into a file of the data folder and sends a signal to `tezi up`, which
answers in the same file when it is done.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
from filelock import Timeout

from gateway.stack.data_folder import pid_file, pid_of_stack
from gateway.stack.gateways import replicas, wait_until_ready
from gateway.stack.nginx import check_config, reload_gently, write_config
from gateway.stack.servers import Stack
from gateway.stack.supervisor import Notice
from preprocess.errors import ServerError, TeziError
from preprocess.files import atomic_write, file_lock
from preprocess.settings import Settings

PARTS = ("gateways", "nginx", "triton", "all")

_SIGNAL = signal.SIGUSR1
_READY_S = 60.0
_POLL_S = 0.1


class _Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part to restart, and once `is_done` the error; none means success."""

    part: str
    is_done: bool = False
    trouble: str = ""


class Rolling:
    """The side of `tezi up`: restarts of a stack's parts, one at a time."""

    def __init__(self, settings: Settings, stack: Stack, *, notice: Notice) -> None:
        """`notice(text)` reports what is done."""
        self._settings = settings
        self._stack = stack
        self._notice = notice
        self._work: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take requests until the block ends; a restart in progress is then cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(_SIGNAL, self._begin)
        pid = pid_file(self._settings)
        atomic_write(pid, str(os.getpid()).encode())
        try:
            yield
        finally:
            pid.unlink(missing_ok=True)
            if self._work is not None:
                self._work.cancel()
                await asyncio.gather(self._work, return_exceptions=True)
            loop.remove_signal_handler(_SIGNAL)

    def _begin(self) -> None:
        if self._work is None or self._work.done():  # the command's lock keeps others waiting
            self._work = asyncio.create_task(self._answer(), name="restart")

    async def _answer(self) -> None:
        file = _request_file(self._settings)
        try:
            request = msgspec.json.decode(file.read_bytes(), type=_Request)
        except (OSError, msgspec.MsgspecError):
            self._notice("restart: there is no request; use `tezi restart`")
            return
        trouble = ""
        try:
            await self.restart(request.part)
        except TeziError as error:
            trouble = str(error)
            self._notice(f"restart: {trouble}")
        answer = msgspec.structs.replace(request, is_done=True, trouble=trouble)
        atomic_write(file, msgspec.json.encode(answer))

    async def restart(self, part: str) -> None:
        """Restart one of PARTS; return when it is done and everything is ready.

        Raises:
            ServerError: there is no such part, or one does not come back. The parts after it are
                not touched.
        """
        if part not in PARTS:
            raise ServerError(f"{part!r} is not among {', '.join(PARTS)}.")
        if part in ("triton", "all"):
            await self._stack.triton.restart()
        if part in ("gateways", "all"):
            await self._gateways()
        if part == "nginx" or (part == "all" and self._stack.nginx is not None):
            await self._nginx()

    async def _gateways(self) -> None:
        """Restart each gateway in turn, while all others are ready."""
        urls = {name: own.http_url for name, own in replicas(self._settings).items()}
        for name, url in urls.items():
            await wait_until_ready(list(urls.values()), timeout_s=_READY_S)
            await self._stack.gateways[name].restart()
            await wait_until_ready([url], timeout_s=_READY_S)

    async def _nginx(self) -> None:
        """Start workers with the current configuration; the old ones finish their requests."""
        nginx = self._stack.nginx
        if nginx is None or nginx.child is None:
            raise ServerError("There is no nginx here: it runs in front of two gateways or more.")
        await asyncio.to_thread(partial(write_config, self._settings))
        await check_config(self._settings)
        await reload_gently(self._settings.nginx_dir, partial(nginx.child.tell, signal.SIGHUP))
        self._notice("nginx: uses the current configuration")


async def request_restart(settings: Settings, part: str) -> None:
    """Have the stack on the data folder restart one of PARTS; return when it is done.

    Raises:
        ServerError: no stack runs there, another restart is under way, the stack ends meanwhile, or
            it could not do it.
    """
    pid = pid_of_stack(settings)
    try:
        with file_lock(settings.home / "restart.lock"):
            file = _request_file(settings)
            atomic_write(file, msgspec.json.encode(_Request(part)))
            os.kill(pid, _SIGNAL)
            while not (answer := msgspec.json.decode(file.read_bytes(), type=_Request)).is_done:
                await asyncio.sleep(_POLL_S)
                if not pid_file(settings).exists() or not Path(f"/proc/{pid}").exists():
                    raise ServerError("The stack ended before it was done.")
    except Timeout:
        raise ServerError("Another restart is under way: wait for its end.") from None
    if answer.trouble:
        raise ServerError(answer.trouble)


def _request_file(settings: Settings) -> Path:
    return settings.home / "restart.json"
