"""One child process that cannot outlive us: its output is passed on, and it is stopped in time."""

import asyncio
import os
import shutil
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import cast

# Longer lines are passed on in pieces.
_LINE_BYTES = 1 << 16
_KEPT_LINES = 8
_KEPT_WIDTH = 300
# A process that inherited a child's output may hold it open after the child has ended.
_LAST_LINES_S = 1.0


class _Output(asyncio.SubprocessProtocol):
    """Splits the output into lines."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = asyncio.Event()
        self._line = line
        self._rest = b""

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - asyncio's signature
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._line(line.decode(errors="replace").rstrip())

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._rest:
            self._line(self._rest.decode(errors="replace").rstrip())
        self.closed.set()

    def process_exited(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class Child:
    """A running child process."""

    def __init__(
        self,
        transport: asyncio.SubprocessTransport,
        output: _Output,
        last_lines: deque[str],
        end_signal: signal.Signals,
    ) -> None:
        self._transport = transport
        self._output = output
        self._last_lines = last_lines
        self._end_signal = end_signal
        self._told = self._ended = False
        self.pid = transport.get_pid()

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        sink: Callable[[str], None],
        *,
        end_signal: signal.Signals = signal.SIGTERM,
    ) -> "Child":
        """Start `command`; each line of output goes to `sink`, and `end_signal` stops it.

        It gets its own session, so that Ctrl-C reaches only us and we stop servers in order. If
        setpriv is installed (as on any Debian), the kernel ends it if we are killed.
        """
        setpriv = shutil.which("setpriv")
        guard = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        last_lines: deque[str] = deque(maxlen=_KEPT_LINES)

        def line(text: str) -> None:
            last_lines.append(text[:_KEPT_WIDTH])
            sink(text)

        transport, output = await asyncio.get_running_loop().subprocess_exec(
            lambda: _Output(line),
            *guard,
            *command,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(transport, output, last_lines, end_signal)

    @property
    def last_lines(self) -> list[str]:
        """The last few lines of output, shortened."""
        return list(self._last_lines)

    async def wait(self) -> int:
        """Wait until it has ended and its output was passed on; returns its exit code."""
        await asyncio.shield(self._output.ended)
        self._end_workers()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._output.closed.wait(), _LAST_LINES_S)
        self._transport.close()
        return cast(int, self._transport.get_returncode())

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        with suppress(ProcessLookupError):
            self._transport.send_signal(number)

    async def stop(self, grace_s: float) -> int:
        """Send the end signal, and after `grace_s` SIGKILL to its whole process group."""
        if not self._told:  # a second signal makes some servers drop the requests in flight
            self._told = True
            self.tell(self._end_signal)
        try:
            await asyncio.wait_for(asyncio.shield(self._output.ended), grace_s)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return await self.wait()

    def _end_workers(self) -> None:
        """Once: the workers of a killed server would hold its port and go on serving."""
        if not self._ended:
            self._ended = True
            with suppress(ProcessLookupError):
                os.killpg(self.pid, self._end_signal)
