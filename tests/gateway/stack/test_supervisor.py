"""Supervision with real child processes: what is noticed, how soon, and what is left behind."""

import asyncio
import errno
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from gateway.stack.process import Child
from gateway.stack.supervisor import HealthPolicy, Server, Supervisor
from preprocess.errors import DatabaseAwayError, ModelError, ServerError, TeziError

QUICK = HealthPolicy(
    start=60.0,
    interval=0.05,
    answer=30.0,
    errors=2,
    second_look=0.02,
    timeouts=3,
    grace=60.0,
    grace_when_broken=0.2,
    first_pause=0.02,
    longest_pause=0.1,
)
SLEEP = "import time; print('up', flush=True); time.sleep(600)"
DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print('up', flush=True); time.sleep(600)"
)


class Health:
    """A check whose outcome a test sets: `error` until it is changed, before it each of `once`."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.once: list[Exception] = []
        self.checks = 0

    async def __call__(self, timeout_s: float) -> None:
        self.checks += 1
        if self.once:
            raise self.once.pop()
        if self.error is not None:
            raise self.error

    async def more(self, count: int) -> None:
        """Wait until it has been asked so many times more."""
        wanted = self.checks + count
        await until(lambda: self.checks >= wanted)


class Watched:
    """A supervisor at work, and what it said."""

    def __init__(self, script: str, health: Health, policy: HealthPolicy = QUICK) -> None:
        self.lines: list[str] = []
        self.notices: list[str] = []
        self.clean_ups = 0
        self.commands = 0
        self.nothing_to_start: Exception | None = None
        self.follow_ups = 0
        self.follow_up_error: TeziError | None = None
        self.repairs = 0
        self.can_repair = False
        self.health = health
        self.supervisor = Supervisor(
            Server(
                "sleeper",
                self._command(script),
                os.environ,
                health,
                policy,
                clean_up=self._cleaned,
                on_up=self._follow_up,
                repair=self._repair,
            ),
            lines=lambda _, line: self.lines.append(line),
            notice=self.notices.append,
        )
        self.task = asyncio.create_task(self.supervisor.run())

    def _command(self, script: str) -> Callable[[], Awaitable[Sequence[str]]]:
        async def command() -> Sequence[str]:
            self.commands += 1
            if self.nothing_to_start is not None:
                raise self.nothing_to_start
            return (sys.executable, "-c", script)

        return command

    async def _follow_up(self) -> None:
        self.follow_ups += 1
        if self.follow_up_error is not None:
            raise self.follow_up_error

    def repaired(self, count: int) -> bool:
        """Whether mending was tried so often."""
        return self.repairs >= count

    async def _repair(self) -> bool:
        self.repairs += 1
        return self.can_repair

    def _cleaned(self) -> None:
        self.clean_ups += 1

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    @property
    def pid(self) -> int:
        assert self.supervisor.child is not None
        return self.supervisor.child.pid


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition, on a machine that may have much else to do."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_output_is_passed_on_and_cancelling_stops_the_child() -> None:
    watched = Watched(SLEEP, Health())
    await until(lambda: watched.lines == ["up"])
    pid = watched.pid
    await watched.stop()
    assert not psutil.pid_exists(pid)
    assert watched.clean_ups == 2


async def test_an_unreachable_database_is_waited_for_up_to_a_limit() -> None:
    health = Health()
    watched = Watched(SLEEP, health)
    await until(watched.supervisor.up.is_set)
    first = watched.pid
    health.error = DatabaseAwayError("the market cannot be read")
    await health.more(4)
    assert watched.supervisor.up.is_set()
    assert (watched.pid, watched.repairs) == (first, 0)
    await watched.stop()

    health.error = None
    watched = Watched(SLEEP, health, replace(QUICK, database=0.0))
    await until(watched.supervisor.up.is_set)
    first = watched.pid
    health.once = [DatabaseAwayError("the market cannot be read")]
    await until(lambda: watched.supervisor.restarts == 1 and watched.supervisor.up.is_set())
    assert watched.pid != first
    assert any("cannot be read" in notice for notice in watched.notices)
    await watched.stop()


async def test_a_child_has_time_to_finish_its_work() -> None:
    """Its checks fail meanwhile, which is no reason to hurry it or to tell it twice."""
    script = (
        "import signal, time, os\n"
        "def end(*_):\n"
        "    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))\n"
        "    print('ending', flush=True); time.sleep(1)\n"
        "    print('finished', flush=True); os._exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)"
    )
    watched = Watched(script, Health())
    await until(lambda: watched.lines == ["up"] and watched.supervisor.up.is_set())
    restart = asyncio.create_task(watched.supervisor.restart())
    await until(lambda: "ending" in watched.lines)
    watched.health.error = ServerError("the port is closed")
    await until(lambda: "finished" in watched.lines)
    watched.health.error = None
    await restart
    assert any("code 0" in notice or "closed" in notice for notice in watched.notices)
    await watched.stop()


async def test_workers_of_a_killed_child_are_ended() -> None:
    script = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '''{SLEEP}''']);{SLEEP}"
    )
    lines: list[str] = []
    child = await Child.start((sys.executable, "-c", script), os.environ, lines.append)
    await until(lambda: lines == ["up", "up"])
    (worker,) = psutil.Process(child.pid).children()
    os.kill(child.pid, 9)
    assert await child.wait() == -9
    await until(lambda: not worker.is_running() or _is_zombie(worker))


@pytest.mark.parametrize(
    "trouble",
    [ModelError("nothing is intact"), OSError(errno.ENOSPC, "nothing is intact: the disk is full")],
    ids=repr,
)
async def test_a_failing_start_is_tried_again(trouble: Exception) -> None:
    watched = Watched(SLEEP, Health())
    watched.follow_up_error = ServerError("not all is loaded")
    await until(watched.supervisor.up.is_set)
    await until(lambda: watched.follow_ups == 1)
    watched.nothing_to_start = trouble
    os.kill(watched.pid, 9)
    await until(lambda: watched.commands >= 3)  # tried again and again
    watched.nothing_to_start = watched.follow_up_error = None
    await until(lambda: watched.follow_ups == 2)
    assert watched.supervisor.up.is_set()
    for words in ("not all is loaded", "ended with code -9", "nothing is intact"):
        assert any(words in notice for notice in watched.notices)
    await watched.stop()


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [(ModelError("it is damaged"), ModelError), (OSError(errno.EAGAIN, "it is"), ServerError)],
    ids=["nothing", "no memory"],
)
async def test_a_failing_first_start_is_an_error(trouble: Exception, kind: type[TeziError]) -> None:
    watched = Watched(SLEEP, Health())
    watched.nothing_to_start = trouble
    with pytest.raises(kind, match="it is"):
        await watched.task


async def test_closed_output_does_not_end_the_supervisor() -> None:
    def refuse(*_: str) -> None:
        raise BrokenPipeError

    async def command() -> Sequence[str]:
        return (sys.executable, "-c", SLEEP)

    server = Server("sleeper", command, os.environ, Health(), QUICK)
    supervisor = Supervisor(server, lines=refuse, notice=refuse)
    task = asyncio.create_task(supervisor.run())
    await until(supervisor.up.is_set)
    assert supervisor.child is not None
    os.kill(supervisor.child.pid, 9)
    await until(lambda: supervisor.restarts == 1)
    await until(supervisor.up.is_set)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_child_with_wrong_answers_is_replaced() -> None:
    watched = Watched(SLEEP, Health())
    await until(watched.supervisor.up.is_set)
    first = watched.pid
    watched.health.error = ServerError("Stub process is not healthy")
    await until(lambda: not watched.supervisor.up.is_set())
    assert any("not healthy" in notice for notice in watched.notices)
    watched.health.error = None
    await until(watched.supervisor.up.is_set)
    assert not psutil.pid_exists(first)
    await watched.stop()


@pytest.mark.parametrize("trouble", [ServerError("wrong"), TimeoutError("late")])
async def test_a_repaired_server_is_not_replaced(trouble: Exception) -> None:
    watched = Watched(SLEEP, Health(), replace(QUICK, repairs=2, timeouts=1))
    await until(watched.supervisor.up.is_set)
    first = watched.pid
    watched.can_repair = True
    for count in (1, 2, 3):
        watched.health.once = [trouble]
        await until(partial(watched.repaired, count))
        await watched.health.more(2)  # answers are right again, and the count begins anew
    assert (watched.pid, watched.repairs) == (first, 3)
    watched.health.error = trouble
    await until(lambda: not watched.supervisor.up.is_set())
    assert watched.repairs >= 5  # twice more without success: the server is replaced all the same
    await until(lambda: not psutil.pid_exists(first))
    await watched.stop()


async def test_only_many_late_answers_in_a_row_count() -> None:
    watched = Watched(SLEEP, Health(), replace(QUICK, timeouts=4))
    await until(watched.supervisor.up.is_set)
    watched.health.once = [TimeoutError("late")] * 3
    await watched.health.more(8)
    assert watched.supervisor.restarts == 0
    watched.health.error = TimeoutError("late")
    await until(lambda: not watched.supervisor.up.is_set())
    assert any("4 checks in a row" in notice for notice in watched.notices)
    await watched.stop()


async def test_the_error_of_a_first_start_has_the_last_lines() -> None:
    health = Health()
    health.error = ServerError("not yet")
    watched = Watched("print('no licence'); raise SystemExit(3)", health)
    with pytest.raises(ServerError, match=r"(?s)ended with code 3.*no licence"):
        await watched.task


async def test_a_first_start_that_never_serves_is_an_error() -> None:
    health = Health()
    health.error = ServerError("loading")
    watched = Watched(SLEEP, health, replace(QUICK, start=0.3))
    with pytest.raises(ServerError, match=r"not serving after 0.3 s \(loading\)"):
        await watched.task
    assert not psutil.pid_exists(watched.pid)


async def test_cancelling_during_a_stop_still_stops_the_child() -> None:
    watched = Watched(DEAF, Health(), replace(QUICK, grace_when_broken=0.5))
    await until(lambda: watched.lines == ["up"] and watched.supervisor.up.is_set())
    watched.health.error = ServerError("broken")
    await until(lambda: not watched.supervisor.up.is_set())
    pid = watched.pid
    await asyncio.sleep(0.1)  # it has been told to end, does not listen, and is waited for
    await watched.stop()
    assert not psutil.pid_exists(pid)


async def test_a_child_that_ignores_signals_is_killed_with_its_children() -> None:
    script = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '''{DEAF}''']);{DEAF}"
    )
    lines: list[str] = []
    child = await Child.start((sys.executable, "-c", script), os.environ, lines.append)
    await until(lambda: lines == ["up", "up"])
    offspring = psutil.Process(child.pid).children()
    assert len(offspring) == 1
    assert await child.stop(0.2) == -9
    await until(lambda: not psutil.pid_exists(offspring[0].pid) or _is_zombie(offspring[0]))


def _is_zombie(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return True


async def test_an_endless_line_does_not_block_others() -> None:
    lines: list[str] = []
    script = "print('x' * 3_000_000); print('after'); print('half', end='', flush=True)"
    child = await Child.start((sys.executable, "-c", script), os.environ, lines.append)
    assert await child.wait() == 0
    assert lines[-2:] == ["after", "half"]
    assert sum(len(line) for line in lines) == 3_000_000 + len("afterhalf")
    assert max(len(line) for line in child.last_lines) <= 300


async def test_waiting_ends_though_another_process_holds_the_output_open() -> None:
    script = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', "
        "'import time; time.sleep(600)'], start_new_session=True); print(p.pid, flush=True)"
    )
    lines: list[str] = []
    child = await Child.start((sys.executable, "-c", script), os.environ, lines.append)
    assert await asyncio.wait_for(child.wait(), 60.0) == 0
    psutil.Process(int(lines[0])).kill()


_PARENT = """
import asyncio, os, sys
from gateway.stack.process import Child
SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
async def main():
    child = await Child.start(SLEEP, os.environ, print)
    print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_a_child_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    lines: list[str] = []
    parent = await Child.start((sys.executable, "-c", _PARENT), os.environ, lines.append)
    await until(lambda: len(lines) == 1)
    orphan = psutil.Process(int(lines[0]))
    os.kill(parent.pid, 9)
    await parent.wait()
    await until(lambda: not orphan.is_running() or _is_zombie(orphan))
