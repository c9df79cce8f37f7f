"""Restarts one at a time, with small processes in the places of gateways and Triton."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from preprocess.errors import ModelError, ServerError, TeziError
from preprocess.runtime import rolling as module
from preprocess.runtime.gateways import Readiness, gateway_server, replicas
from preprocess.runtime.rolling import Rolling
from preprocess.runtime.servers import Stack
from preprocess.runtime.supervisor import Server, Supervisor
from preprocess.settings import Settings, load_settings
from tests.integration.stack import fresh_settings
from tests.runtime.test_supervisor import QUICK, SLEEP, until

_GATEWAY = """
import http.server, os
refuses = os.path.join(os.environ["TEZI_DATA_DIR"], "refuses-" + os.environ["TEZI_HTTP_PORT"])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/ready" and os.path.exists(refuses) else 200)
        self.end_headers()
    def log_message(self, *_):
        pass
print("asks", os.environ["TEZI_TRITON_HTTP_PORT"], flush=True)
place = ("127.0.0.1", int(os.environ["TEZI_HTTP_PORT"]))
http.server.ThreadingHTTPServer(place, Answer).serve_forever()
"""


# As quick as a test wants it, and in no hurry on a machine that has much else to do.
CALM = replace(QUICK, interval=0.2, answer=5.0, errors=20, grace=5.0)


def script(text: str) -> Callable[[], Awaitable[Sequence[str]]]:
    async def command() -> Sequence[str]:
        return (sys.executable, "-S", "-c", text)

    return command


class Reconciled:
    """Stands for Releases: every model is loaded."""

    def __init__(self, settings: Settings, **_: object) -> None:
        pass

    async def reconcile(self) -> None:
        """Nothing is missing."""


class Lab:
    """A stack of small processes, and what happened."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.events: list[str] = []
        self.trouble: TeziError | None = None
        readiness = Readiness()
        self.stack = Stack(
            triton=self._watched(self.triton(settings)),
            gateways={
                name: self._watched(
                    replace(
                        gateway_server(name, own, readiness, several=True),
                        command=script(_GATEWAY),
                        patience=CALM,
                    )
                )
                for name, own in replicas(settings).items()
            },
            nginx=None,
        )
        self.rolling = Rolling(settings, self.stack, lines=self._line, notice=self.events.append)
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

    def asked(self) -> list[str]:
        """Which Triton each gateway was started to ask, in order."""
        found = [re.fullmatch(r"gateway\d: asks (\d+)", event) for event in self.events]
        return [match[1] for match in found if match]

    async def up(self) -> None:
        """All answer."""
        await until(lambda: all(part.up.is_set() for part in self.stack.parts), 10.0)

    def pids(self) -> list[int]:
        """Of Triton and the gateways."""
        return [part.child.pid for part in self.stack.parts if part.child is not None]


@pytest.fixture
async def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    lab = Lab(fresh_settings(tmp_path / "home", gateways=2))
    monkeypatch.setattr(module, "triton_server", lab.triton)
    monkeypatch.setattr(module, "Releases", Reconciled)
    await lab.up()
    yield lab
    for life in lab.lives:
        life.cancel()
        with suppress(asyncio.CancelledError):
            await life


async def test_gateways_take_turns(lab: Lab) -> None:
    before = lab.pids()
    await lab.rolling.restart("gateways")
    turns = [event for event in lab.events if "stops" in event or "up after" in event][3:]
    words = [event.partition(" after")[0].partition(", to")[0] for event in turns]
    assert words == ["gateway1: stops", "gateway1: up", "gateway2: stops", "gateway2: up"]
    assert lab.pids()[0] == before[0]
    assert not set(lab.pids()[1:]) & set(before[1:])


async def test_a_gateway_is_left_alone_until_the_other_can_stand_in(lab: Lab) -> None:
    lab.settings.home.mkdir(exist_ok=True)
    refuses = lab.settings.home / f"refuses-{lab.settings.gateway_ports[1]}"
    refuses.touch()
    before = lab.pids()
    work = asyncio.create_task(lab.rolling.restart("gateways"))
    await asyncio.sleep(0.3)
    assert lab.pids() == before
    assert not any("stops" in event for event in lab.events)
    refuses.unlink()
    await work
    assert not set(lab.pids()[1:]) & set(before[1:])


async def test_a_second_triton_answers_while_the_first_is_started_anew(lab: Lab) -> None:
    before = lab.pids()
    await lab.rolling.restart("triton")
    first = str(lab.settings.triton_http_port)
    asked = lab.asked()
    assert asked[:2] == asked[4:] == [first, first]
    assert asked[2] == asked[3] != first
    assert not set(before) & set(lab.pids())
    order = [lab.events.index("triton: stops, to be started anew"), lab.events.index("spare: up")]
    moved = [at for at, event in enumerate(lab.events) if event.endswith(f"asks {asked[2]}")]
    assert order[1] < moved[0] < moved[1] < order[0]
    await until(lambda: not any("spare" in (t.get_name()) for t in asyncio.all_tasks()))


async def test_a_second_triton_that_does_not_start_changes_nothing(lab: Lab) -> None:
    before = lab.pids()
    lab.trouble = ModelError("nothing is intact")
    with pytest.raises(ModelError, match="nothing is intact"):
        await lab.rolling.restart("triton")
    assert lab.pids() == before


async def test_the_second_triton_answers_until_the_first_is_back(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        lab.trouble = ModelError("the disk is away")
        await restart()

    triton = lab.stack.triton
    restart = triton.restart
    triton.server = replace(triton.server, patience=replace(QUICK, start=0.1, grace=0.2))
    monkeypatch.setattr(triton, "restart", fails)
    work = asyncio.create_task(lab.rolling.restart("triton"))
    await until(lambda: any("answers until it does" in event for event in lab.events), 15.0)
    assert len(lab.asked()) == 4  # led over, and not yet back
    lab.trouble = None
    await work
    assert lab.asked()[4:] == [str(lab.settings.triton_http_port)] * 2


async def test_one_restart_at_a_time(lab: Lab) -> None:
    work = asyncio.create_task(lab.rolling.restart("gateways"))
    await asyncio.sleep(0.05)
    with pytest.raises(ServerError, match="under way"):
        await lab.rolling.restart("gateways")
    await work


async def test_without_nginx_it_cannot_be_restarted(lab: Lab) -> None:
    with pytest.raises(ServerError, match="There is no nginx here"):
        await lab.rolling.restart("nginx")


def test_settings_of_a_stack_have_ports_in_a_row(tmp_path: Path) -> None:
    settings = fresh_settings(tmp_path, gateways=2)
    assert settings.gateway_ports == [settings.gateway_base_port, settings.gateway_base_port + 1]
    assert load_settings(data_dir=tmp_path).gateways == 1
