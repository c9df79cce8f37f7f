"""Whose turn it is, and when a name is looked up."""

import asyncio
import socket

import pytest

from gateway.triton.http.addresses import Addresses, Endpoint, name_look_up

FIRST, SECOND, THIRD = ("127.0.0.1", 1), ("127.0.0.2", 1), ("127.0.0.3", 1)


class Name:
    """A name whose addresses change, and how often it was looked up."""

    def __init__(self, *places: Endpoint) -> None:
        self.places = list(places)
        self.looked_up = 0
        self.failure: OSError | None = None

    async def __call__(self) -> list[Endpoint]:
        self.looked_up += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return list(self.places)


async def settled() -> None:
    """Let what was begun beside come to its end."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands where a test puts it."""
    moment = [1000.0]
    monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda _: moment[0])
    return moment


async def test_each_has_its_turn() -> None:
    name = Name(FIRST, SECOND, FIRST, THIRD)
    addresses = Addresses(name)
    assert [await addresses.in_turn() for _ in range(4)] == [
        [FIRST, SECOND, THIRD],
        [SECOND, THIRD, FIRST],
        [THIRD, FIRST, SECOND],
        [FIRST, SECOND, THIRD],
    ]
    assert name.looked_up == 1


async def test_all_who_come_first_wait_for_one_look_up() -> None:
    name = Name(FIRST)
    addresses = Addresses(name)
    assert await asyncio.gather(*(addresses.in_turn() for _ in range(5))) == [[FIRST]] * 5
    assert name.looked_up == 1


async def test_who_refused_comes_last_for_a_while(now: list[float]) -> None:
    addresses = Addresses(Name(FIRST, SECOND))
    await addresses.in_turn()
    addresses.failed(FIRST)
    assert [(await addresses.in_turn())[0] for _ in range(4)] == [SECOND] * 4
    now[0] += 0.6
    assert {(await addresses.in_turn())[0] for _ in range(2)} == {FIRST, SECOND}


async def test_who_answers_has_its_turn_again(now: list[float]) -> None:
    del now
    addresses = Addresses(Name(FIRST, SECOND))
    await addresses.in_turn()
    addresses.failed(FIRST)
    addresses.connected(FIRST)
    assert {(await addresses.in_turn())[0] for _ in range(2)} == {FIRST, SECOND}


async def test_a_refusal_has_the_name_looked_up_but_not_for_each(now: list[float]) -> None:
    name = Name(FIRST)
    addresses = Addresses(name)
    await addresses.in_turn()
    name.places = [SECOND]
    for _ in range(3):
        addresses.failed(FIRST)
        assert await addresses.in_turn() == [FIRST]
        await settled()
    assert name.looked_up == 1
    now[0] += 0.6
    assert await addresses.in_turn() == [FIRST]
    await settled()
    assert await addresses.in_turn() == [SECOND]
    assert not addresses.knows(FIRST)
    now[0] += 100
    await addresses.in_turn()
    await settled()
    assert name.looked_up == 2


async def test_what_is_known_ages(now: list[float]) -> None:
    name = Name(FIRST)
    addresses = Addresses(name, max_age_s=5)
    await addresses.in_turn()
    name.places = [FIRST, SECOND]
    now[0] += 4
    await addresses.in_turn()
    await settled()
    assert name.looked_up == 1
    now[0] += 2
    await addresses.in_turn()
    await settled()
    assert set(await addresses.in_turn()) == {FIRST, SECOND}


async def test_a_look_up_that_fails_loses_nothing(now: list[float]) -> None:
    name = Name(FIRST)
    addresses = Addresses(name, max_age_s=5)
    await addresses.in_turn()
    for name.failure, name.places in ((OSError("no name server"), [FIRST]), (None, [])):
        now[0] += 6
        assert await addresses.in_turn() == [FIRST]
        await settled()
        assert await addresses.in_turn() == [FIRST]


async def test_a_first_look_up_that_fails_is_said_and_made_again() -> None:
    name = Name(FIRST)
    name.failure = OSError("no name server")
    addresses = Addresses(name)
    for _ in range(2):
        with pytest.raises(OSError, match="no name server"):
            await addresses.in_turn()
    name.failure, name.places = None, []
    with pytest.raises(OSError, match="has no address"):
        await addresses.in_turn()
    name.places = [FIRST]
    assert await addresses.in_turn() == [FIRST]
    assert name.looked_up == 4


async def test_who_stops_waiting_stops_no_look_up() -> None:
    name = Name(FIRST)
    addresses = Addresses(name)
    impatient = asyncio.create_task(addresses.in_turn())
    await asyncio.sleep(0)
    impatient.cancel()
    assert await addresses.in_turn() == [FIRST]
    assert name.looked_up == 1
    assert impatient.cancelled()


async def test_closing_ends_a_look_up() -> None:
    began = asyncio.Event()

    async def never() -> list[Endpoint]:
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    addresses = Addresses(never)
    waits = asyncio.create_task(addresses.in_turn())
    await began.wait()
    await addresses.close()
    with pytest.raises(asyncio.CancelledError):
        await waits
    await Addresses(never).close()


async def test_the_system_looks_a_name_up() -> None:
    assert await name_look_up("127.0.0.1", 8000)() == [("127.0.0.1", 8000)]
    assert ("127.0.0.1", 8000) in await name_look_up("localhost", 8000)()
    with pytest.raises(socket.gaierror):
        await name_look_up("nobody.invalid", 8000)()
