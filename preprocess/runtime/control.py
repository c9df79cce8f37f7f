"""How a command talks to the `tezi up` that runs on its data folder: a socket in that folder.

A request is one line. The answer is lines of news and, as the last one, `done` or `failed: WHY`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from preprocess.errors import ServerError, TeziError
from preprocess.settings import Settings

_SOCKET = "up.sock"
_DONE, _FAILED = "done", "failed: "
_REQUEST_S = 5.0
_CONNECT_S = 5.0


class Control:
    """The side of `tezi up`. `notice` passes news on to whoever has a request under way."""

    def __init__(self, known: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
        """`known` does what each request asks for, or raises a TeziError."""
        self._known = known
        self._callers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def notice(self, text: str) -> None:
        """Tell those who wait."""
        for writer in self._callers:
            writer.write(f"{text.replace(os.linesep, ' ')}\n".encode())

    @asynccontextmanager
    async def listening(self, settings: Settings) -> AsyncIterator[None]:
        """Take requests until the block ends; what is under way then is cancelled."""
        place = settings.home / _SOCKET
        place.unlink(missing_ok=True)
        with _short(place) as path:
            mask = os.umask(0o177)  # only who owns the stack may restart it
            try:
                server = await asyncio.start_unix_server(self._serve, path)
            finally:
                os.umask(mask)
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            place.unlink(missing_ok=True)

    async def _do(self, request: str) -> None:
        if request not in self._known:
            raise ServerError(f"{request!r} is not among {', '.join(self._known)}.")
        await self._known[request]()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._answer(reader, writer), name="control")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await asyncio.wait_for(reader.readline(), _REQUEST_S)
            self._callers.add(writer)
            try:
                await self._do(request.decode(errors="replace").strip())
                last = _DONE
            except TeziError as error:
                last = f"{_FAILED}{error}".replace("\n", " ")
            except asyncio.CancelledError:
                writer.write(f"{_FAILED}the stack is being stopped\n".encode())
                raise
            finally:
                self._callers.discard(writer)
            writer.write(f"{last}\n".encode())
            await writer.drain()
        except (TimeoutError, ConnectionError):
            pass  # the caller is gone
        finally:
            writer.close()


async def ask(settings: Settings, request: str) -> AsyncIterator[str]:
    """Ask the stack on the data folder for something; its news until it is done.

    Raises:
        ServerError: no stack runs there, it ends meanwhile, or it could not do it.
    """
    with _short(settings.home / _SOCKET) as path:
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_unix_connection(path), _CONNECT_S)
        except (OSError, TimeoutError):
            raise ServerError(
                f"No stack answers on {settings.home}: start one with `tezi up`, or name its "
                "folder with TEZI_DATA_DIR."
            ) from None
    try:
        writer.write(f"{request}\n".encode())
        async for line in reader:
            text = line.decode(errors="replace").rstrip("\n")
            if text == _DONE:
                return
            if text.startswith(_FAILED):
                raise ServerError(text.removeprefix(_FAILED))
            yield text
        raise ServerError("The stack ended before it was done.")
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@contextmanager
def _short(place: Path) -> Iterator[str]:
    """A path of the same place that fits into the 107 bytes of a socket's address."""
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{place.name}"
    finally:
        os.close(folder)
