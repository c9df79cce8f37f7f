"""One child process: started so that it cannot outlive us, its lines passed on, stopped in time."""

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

_LINE_LIMIT = 1 << 20
_KEPT_LINES = 8
_KEPT_WIDTH = 300


class Child:
    """A running child process."""

    def __init__(self, process: Process, sink: Callable[[str], None]) -> None:
        self._process = process
        self._sink = sink
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._pump = asyncio.create_task(self._pass_on(), name=f"lines of {process.pid}")

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], sink: Callable[[str], None]
    ) -> "Child":
        """Start `command`; each line that it prints goes to `sink`.

        It gets a session of its own, so that Ctrl-C reaches us alone and we stop things in order;
        where setpriv is there (any Debian), the kernel ends it if we are killed.
        """
        setpriv = shutil.which("setpriv")
        guard = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        process = await asyncio.create_subprocess_exec(
            *guard,
            *command,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
            limit=_LINE_LIMIT,
        )
        return cls(process, sink)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def last_lines(self) -> list[str]:
        """The last few lines that it printed, shortened."""
        return list(self._last_lines)

    async def wait(self) -> int:
        """Wait until it has ended; its exit code."""
        code = await self._process.wait()
        # Whoever inherited its output may hold the pipe open; what is in it has been read by then.
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._pump), 1.0)
        self._pump.cancel()
        return code

    async def stop(self, grace_s: float) -> int:
        """SIGTERM, and SIGKILL to its whole group when it is still there after `grace_s`."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(asyncio.shield(self.wait()), grace_s)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            return await self.wait()

    async def _pass_on(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than the limit: asyncio has dropped it
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._last_lines.append(text[:_KEPT_WIDTH])
            self._sink(text)
