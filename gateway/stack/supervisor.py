"""Keeps a server running: starts it, checks that it really serves, restarts it with back-off."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from gateway.stack.process import Child
from preprocess.errors import DatabaseAwayError, ServerError, TeziError

Lines = Callable[[str, str], None]
Notice = Callable[[str], None]

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """When a server counts as failed, and how it is restarted. Times in seconds."""

    start: float = 90.0
    interval: float = 1.0
    answer: float = 2.0
    # One error is checked again soon. A late answer may only mean load, so five in a row count.
    errors: int = 2
    second_look: float = 0.25
    timeouts: int = 5
    # An unreachable database usually comes back by itself. After this long the server is restarted,
    # in case it is the server that cannot reconnect.
    database: float = 60.0
    repairs: int = 3
    grace: float = 10.0
    grace_when_broken: float = 1.0
    first_pause: float = 0.1
    longest_pause: float = 30.0
    healthy_after: float = 60.0


@dataclass(frozen=True)
class Server:
    """What to run and how to tell that it serves; `check` raises when it does not.

    `command` returns the command line before each start. `on_up` runs in the background each time
    the server has come up; its failure does not harm the server. `repair` is called when a check
    fails, and returns whether it repaired something. `end_signal` makes the server finish the
    requests in flight and exit.
    """

    name: str
    command: Callable[[], Awaitable[Sequence[str]]]
    environment: Mapping[str, str]
    check: Callable[[float], Awaitable[object]]
    policy: HealthPolicy = HealthPolicy()
    clean_up: Callable[[], None] = field(default=lambda: None)
    on_up: Callable[[], Awaitable[object]] | None = None
    repair: Callable[[], Awaitable[bool]] | None = None
    end_signal: signal.Signals = signal.SIGTERM


class Supervisor:
    """Runs one server. `up` is set while it serves; `restarts` counts its restarts."""

    def __init__(
        self,
        server: Server,
        *,
        lines: Lines,
        notice: Notice,
    ) -> None:
        """`lines(name, line)` receives its output, `notice(text)` what happens to it."""
        self.server = server
        self.up = asyncio.Event()
        self.restarts = 0
        self.child: Child | None = None
        self._told_to_end = False
        self._lines = lines
        self._tell = notice

    async def run(self) -> None:
        """Run until cancelled, then stop the server.

        Raises:
            ServerError: it did not come up the first time. Later starts are retried for ever.
            TeziError: there was nothing to start.
        """
        pause = self.server.policy.first_pause
        first = True
        while True:
            began = time.monotonic()
            await self._one_life(first=first)
            first = False
            self.restarts += 1
            if time.monotonic() - began > self.server.policy.healthy_after:
                pause = self.server.policy.first_pause
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.server.policy.longest_pause)

    async def restart(self) -> None:
        """Stop the server gracefully and start it again; return when it serves.

        Raises:
            ServerError: it did not come back in time. The supervisor keeps trying.
        """
        child, before = self.child, self.restarts
        if child is None:
            raise ServerError(f"{self.server.name} is not running.")
        self._told_to_end = True
        await child.stop(self.server.policy.grace)
        try:
            async with asyncio.timeout(self.server.policy.start):
                while self.restarts == before or not self.up.is_set():
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise ServerError(f"{self.server.name} did not come back; see above.") from None

    async def _one_life(self, *, first: bool) -> None:
        """Start it, watch it until it ends or fails its checks, then stop it."""
        server, policy = self.server, self.server.policy
        began = time.monotonic()
        try:
            server.clean_up()
            child = await Child.start(
                await server.command(),
                server.environment,
                self._pass_on,
                end_signal=server.end_signal,
            )
        except (TeziError, OSError) as error:  # such as a full disk, or no memory for a process
            if first and isinstance(error, TeziError):
                raise
            if first:
                raise ServerError(f"{server.name} cannot be started: {error}.") from None
            self._give_up(str(error))
            return
        self.child = child
        self._told_to_end = False
        grace = policy.grace
        ended = asyncio.create_task(child.wait(), name=f"end of {server.name}")
        try:
            trouble = await _first_of(ended, self._wait_until_serving())
            if trouble is not None:
                if first:
                    raise ServerError(
                        "\n  ".join([f"{server.name} did not start: {trouble}.", *child.last_lines])
                    )
                self._give_up(trouble)
                return
            self.up.set()
            self._notice(f"{server.name}: up after {time.monotonic() - began:.1f} s")
            async with self._follow_up():
                trouble = await _first_of(ended, self._wait_for_trouble())
            if not self._told_to_end:  # otherwise its checks fail because it is stopping gracefully
                grace = policy.grace_when_broken
            self._give_up(trouble)
        finally:
            self.up.clear()
            await _to_its_end(child.stop(grace))
            await ended
            with suppress(OSError):
                server.clean_up()

    @asynccontextmanager
    async def _follow_up(self) -> AsyncIterator[None]:
        """Run `on_up` in the background while the block runs."""
        if self.server.on_up is None:
            yield
            return
        task = asyncio.ensure_future(self._do(self.server.on_up))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _do(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except (TeziError, TimeoutError) as error:
            self._notice(f"{self.server.name}: {error}")

    def _pass_on(self, line: str) -> None:
        # Output that nobody takes any more, or a full disk, must not end what serves.
        with suppress(OSError):
            self._lines(self.server.name, line)

    def _notice(self, text: str) -> None:
        with suppress(OSError):
            self._tell(text)

    def _give_up(self, trouble: str | None) -> None:
        self.up.clear()
        self._notice(f"{self.server.name}: {trouble}; restarting it")

    async def _wait_until_serving(self) -> str | None:
        policy = self.server.policy
        deadline = time.monotonic() + policy.start
        while True:
            try:
                await self.server.check(policy.answer)
            except (ServerError, TimeoutError) as error:
                if time.monotonic() > deadline:
                    return f"not serving after {policy.start:g} s ({error})"
                await self._repair()
                await asyncio.sleep(0.2)
            else:
                return None

    async def _wait_for_trouble(self) -> str:
        policy = self.server.policy
        errors = timeouts = repairs = 0
        last_seen = time.monotonic()
        while True:
            await asyncio.sleep(policy.second_look if errors else policy.interval)
            try:
                await self.server.check(policy.answer)
            except DatabaseAwayError as error:
                if time.monotonic() - last_seen > policy.database:
                    return str(error)
            except (ServerError, TimeoutError) as error:
                if repairs < policy.repairs and await self._repair():
                    repairs += 1
                elif isinstance(error, TimeoutError):
                    timeouts += 1
                    if timeouts >= policy.timeouts:
                        return f"{timeouts} checks in a row came late ({error})"
                else:
                    errors += 1
                    if errors >= policy.errors:
                        return str(error)
            else:
                errors = timeouts = repairs = 0
                last_seen = time.monotonic()

    async def _repair(self) -> bool:
        return self.server.repair is not None and await self.server.repair()


async def _to_its_end(work: Coroutine[Any, Any, object]) -> None:
    """Await `work`, which always ends, even if cancelled meanwhile; then raise the cancellation."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


async def _first_of(ended: "asyncio.Task[int]", judged: Awaitable[str | None]) -> str | None:
    """The result of `judged`, or that the process has ended, whichever comes first."""
    judgement = asyncio.ensure_future(judged)
    try:
        await asyncio.wait({ended, judgement}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return f"it ended with code {ended.result()}"
        return judgement.result()
    finally:
        judgement.cancel()
        await asyncio.gather(judgement, return_exceptions=True)
