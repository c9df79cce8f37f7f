"""A command talks to the stack on its data folder."""

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from preprocess.errors import ServerError
from preprocess.runtime.control import Control, ask
from preprocess.settings import Settings, load_settings

_HANG_UP = """
import os, socket, sys
os.chdir(sys.argv[1])
with socket.socket(socket.AF_UNIX) as caller:
    caller.connect("up.sock")
    caller.sendall(b"work\\n")
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / ("long" * 40)  # longer than an address of a socket may be
    home.mkdir()
    return load_settings(data_dir=home)


async def heard(settings: Settings, request: str) -> list[str]:
    return [news async for news in ask(settings, request)]


async def test_news_come_through_until_it_is_done(settings: Settings) -> None:
    async def work() -> None:
        for number in (1, 2):
            control.notice(f"step {number}\nof two")
            await asyncio.sleep(0)

    control = Control({"work": work})
    async with control.listening(settings):
        assert await heard(settings, "work") == ["step 1 of two", "step 2 of two"]
        assert (settings.home / "up.sock").stat().st_mode & 0o777 == 0o600
    assert not (settings.home / "up.sock").exists()


async def test_what_goes_wrong_is_an_error_of_the_command(settings: Settings) -> None:
    async def fail() -> None:
        raise ServerError("gateway1 did not\ncome back")

    control = Control({"fail": fail})
    async with control.listening(settings):
        with pytest.raises(ServerError, match="gateway1 did not come back"):
            await heard(settings, "fail")
        with pytest.raises(ServerError, match="'dance' is not among fail"):
            await heard(settings, "dance")


async def test_no_stack_is_said_so(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="start one with `tezi up`"):
        await heard(settings, "work")
    other = load_settings(data_dir=tmp_path / "h")
    other.home.mkdir()
    with socket.socket(socket.AF_UNIX) as left_over:  # as a killed `tezi up` leaves it
        left_over.bind(str(other.home / "up.sock"))
    with pytest.raises(ServerError, match="start one with `tezi up`"):
        await heard(other, "work")
    async with Control({}).listening(other):
        with pytest.raises(ServerError, match="is not among"):
            await heard(other, "work")


async def test_a_stack_that_stops_says_so_to_who_waits(settings: Settings) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(60)

    async with Control({"work": work}).listening(settings):
        waiting = asyncio.create_task(heard(settings, "work"))
        await begun.wait()
    with pytest.raises(ServerError, match="being stopped"):
        await waiting


async def test_a_caller_that_leaves_disturbs_nobody(settings: Settings) -> None:
    done = asyncio.Event()

    async def work() -> None:
        for _ in range(50):
            control.notice("news")
            await asyncio.sleep(0.001)
        done.set()

    control = Control({"work": work})
    async with control.listening(settings):
        caller = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _HANG_UP, str(settings.home)
        )
        assert await caller.wait() == 0
        await asyncio.wait_for(done.wait(), 10)
        assert len(await heard(settings, "work")) == 50
