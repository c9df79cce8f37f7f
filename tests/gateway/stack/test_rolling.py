"""Restarts one at a time, with small processes in the places of gateways and Triton."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.stack.data_folder import only_stack
from gateway.stack.gateways import Readiness, gateway_server, replicas
from gateway.stack.rolling import Rolling, request_restart
from gateway.stack.servers import Stack
from gateway.stack.supervisor import Server, Supervisor
from preprocess.errors import ModelError, ServerError, TeziError
from preprocess.settings import Settings
from tests.gateway.stack.test_supervisor import QUICK, SLEEP, until
from tests.integration.stack import fresh_settings

_GATEWAY = """
import http.server, os
refuses = os.path.join(os.environ["TEZI_DATA_DIR"], "refuses-" + os.environ["TEZI_HTTP_PORT"])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/ready" and os.path.exists(refuses) else 200)
        self.end_headers()
    def log_message(self, *_):
        pass
place = ("127.0.0.1", int(os.environ["TEZI_HTTP_PORT"]))
http.server.ThreadingHTTPServer(place, Answer).serve_forever()
"""


# As quick as a test wants it, and in no hurry on a machine that has much else to do.
CALM = replace(QUICK, interval=0.2, errors=20)


def script(text: str) -> Callable[[], Awaitable[Sequence[str]]]:
    async def command() -> Sequence[str]:
        return (sys.executable, "-S", "-c", text)

    return command


class Lab:
    """A stack of small processes, and what happened."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.events: list[str] = []
        self.trouble: TeziError | None = None
        readiness: Readiness = {}
        self.stack = Stack(
            triton=self._watched(self.triton(settings)),
            gateways={
                name: self._watched(
                    replace(
                        gateway_server(name, own, readiness, several=True),
                        command=script(_GATEWAY),
                        policy=CALM,
                    )
                )
                for name, own in replicas(settings).items()
            },
            nginx=None,
        )
        self.rolling = Rolling(settings, self.stack, notice=self.events.append)
        self.lives = [asyncio.create_task(part.run()) for part in self.stack.parts]

    def _watched(self, server: Server) -> Supervisor:
        return Supervisor(server, lines=self._line, notice=self.events.append)

    def _line(self, name: str, line: str) -> None:
        self.events.append(f"{name}: {line}")

    def triton(self, settings: Settings, **_: object) -> Server:
        """Stands for triton_server."""

        async def command() -> Sequence[str]:
            if self.trouble is not None:
                raise self.trouble
            return await script(SLEEP)()

        async def check(timeout_s: float) -> None:
            pass

        return Server("triton", command, os.environ, check, CALM)

    async def up(self) -> None:
        """All answer."""
        await until(lambda: all(part.up.is_set() for part in self.stack.parts))

    def pids(self) -> list[int]:
        """Of Triton and the gateways."""
        return [part.child.pid for part in self.stack.parts if part.child is not None]


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    settings = fresh_settings(tmp_path / ("long" * 40), gateways=2)
    lab = Lab(settings)
    with only_stack(settings):
        async with lab.rolling.listening():
            await lab.up()
            yield lab
    for life in lab.lives:
        life.cancel()
        with suppress(asyncio.CancelledError):
            await life


async def test_gateways_are_restarted_in_turn(lab: Lab) -> None:
    before = lab.pids()
    await request_restart(lab.settings, "gateways")
    turns = [event for event in lab.events if "starting" in event or "up after" in event][3:]
    words = [event.partition(" after")[0].partition(": it")[0] for event in turns]
    assert words == ["gateway1", "gateway1: up", "gateway2", "gateway2: up"]
    assert lab.pids()[0] == before[0]
    assert not set(lab.pids()[1:]) & set(before[1:])


async def test_a_gateway_is_restarted_only_while_the_other_is_ready(lab: Lab) -> None:
    refuses = lab.settings.home / f"refuses-{lab.settings.gateway_ports[1]}"
    refuses.touch()
    before = lab.pids()
    work = asyncio.create_task(lab.rolling.restart("gateways"))
    await asyncio.sleep(0.3)
    assert lab.pids() == before
    refuses.unlink()
    await work
    assert not set(lab.pids()[1:]) & set(before[1:])


async def test_all_begins_with_triton(lab: Lab) -> None:
    before = lab.pids()
    await request_restart(lab.settings, "all")
    assert not set(before) & set(lab.pids())
    ended = [event.partition(":")[0] for event in lab.events if "starting" in event]
    assert ended == ["triton", "gateway1", "gateway2"]


async def test_failures_are_errors_of_the_command(lab: Lab) -> None:
    with pytest.raises(ServerError, match="There is no nginx here"):
        await request_restart(lab.settings, "nginx")
    with pytest.raises(ServerError, match="'dance' is not among gateways"):
        await request_restart(lab.settings, "dance")
    os.kill(os.getpid(), signal.SIGUSR1)  # by hand: what was asked for is done already
    await request_restart(lab.settings, "gateways")


async def test_a_server_that_does_not_come_back_is_reported_and_retried(lab: Lab) -> None:
    triton = lab.stack.triton
    triton.server = replace(triton.server, policy=replace(CALM, start=0.1))
    lab.trouble = ModelError("the disk is away")
    with pytest.raises(ServerError, match="triton did not come back"):
        await request_restart(lab.settings, "triton")
    lab.trouble = None
    await until(triton.up.is_set)


async def test_one_restart_at_a_time(lab: Lab) -> None:
    work = asyncio.create_task(request_restart(lab.settings, "gateways"))
    await asyncio.sleep(0)  # it has the lock now
    with pytest.raises(ServerError, match="under way"):
        await request_restart(lab.settings, "gateways")
    await work


async def test_a_waiting_restart_ends_with_the_stack(tmp_path: Path) -> None:
    lab = Lab(fresh_settings(tmp_path / "home", gateways=2))
    with only_stack(lab.settings):
        async with lab.rolling.listening():
            await lab.up()
            (lab.settings.home / f"refuses-{lab.settings.gateway_ports[1]}").touch()
            waiting = asyncio.create_task(request_restart(lab.settings, "gateways"))
            await asyncio.sleep(0.3)
        with pytest.raises(ServerError, match="ended before it was done"):
            await waiting
    for life in lab.lives:
        life.cancel()
    await asyncio.gather(*lab.lives, return_exceptions=True)


async def test_without_a_stack_no_process_gets_a_signal(tmp_path: Path) -> None:
    settings = fresh_settings(tmp_path / "home")
    with pytest.raises(ServerError, match="start one with `tezi up`"):
        await request_restart(settings, "gateways")
    settings.home.mkdir(exist_ok=True)
    (settings.home / "up.pid").write_text(str(os.getppid()))  # as a killed `tezi up` leaves it
    with pytest.raises(ServerError, match="start one with `tezi up`"):
        await request_restart(settings, "gateways")
    with only_stack(settings), pytest.raises(ServerError, match="start one with `tezi up`"):
        await request_restart(settings, "gateways")  # of a command that takes no requests
