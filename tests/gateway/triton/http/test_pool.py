"""Connections that are kept, by place; against real servers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.triton.http.addresses import Addresses, Endpoint
from gateway.triton.http.connection import Connection, ProtocolError
from gateway.triton.http.inference import inference_message
from gateway.triton.http.pool import ConnectionPool
from tests.gateway.fakes import until
from tests.gateway.http_triton import HttpTriton, http, leads_to, serving
from tests.integration.stack import free_ports

MESSAGE = inference_message("m", "triton", "1", ["500325"], ["2026-08-14"])


@pytest.fixture
async def tritons() -> AsyncIterator[tuple[HttpTriton, HttpTriton]]:
    first, second = HttpTriton(), HttpTriton()
    async with serving(first, second):
        yield first, second


def asked(*tritons: HttpTriton) -> list[int]:
    return [len(triton.requests) for triton in tritons]


async def test_two_servers_take_turns_on_a_connection_each(
    tritons: tuple[HttpTriton, HttpTriton],
) -> None:
    first, second = tritons
    links = ConnectionPool(Addresses(leads_to(first.place, second.place)))
    for _ in range(10):
        assert (await links.request(MESSAGE)).status == 200
    assert asked(first, second) == [5, 5]
    assert (first.connections, second.connections) == (1, 1)
    await links.close()


async def test_who_cannot_be_reached_is_passed_over(
    tritons: tuple[HttpTriton, HttpTriton],
) -> None:
    first, second = tritons
    links = ConnectionPool(Addresses(leads_to(first.place, second.place)))
    for _ in range(4):
        await links.request(MESSAGE)
    await first.stop()
    await asyncio.sleep(0.01)  # the loop reads that the connection has ended
    for _ in range(10):
        assert (await links.request(MESSAGE)).status == 200
    assert asked(first, second) == [2, 12]
    await links.close()


async def test_nobody_who_can_be_reached_is_said_with_every_reason() -> None:
    ports = free_ports(2)
    links = ConnectionPool(Addresses(leads_to(*(("127.0.0.1", port) for port in ports))))
    with pytest.raises(ConnectionError) as caught:
        await links.request(MESSAGE)
    assert all(f"127.0.0.1:{port}: " in str(caught.value) for port in ports)
    await links.close()


async def test_a_machine_that_says_nothing_is_given_up_and_asked_last(
    tritons: tuple[HttpTriton, HttpTriton],
    monkeypatch: pytest.MonkeyPatch,
    skip: Callable[[float], None],
) -> None:
    first, _ = tritons
    silent: Endpoint = ("127.0.0.9", 9)
    tries = 0
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def hang(factory: type[Connection], host: str, port: int) -> object:
        nonlocal tries
        if (host, port) == silent:
            tries += 1
            await asyncio.Event().wait()
        return await connect(factory, host, port)

    monkeypatch.setattr(loop, "create_connection", hang)
    monkeypatch.setattr("gateway.triton.http.addresses._DOUBT_S", 600.0)
    links = ConnectionPool(Addresses(leads_to(silent, first.place)))
    waits = asyncio.create_task(links.request(MESSAGE))
    await until(lambda: tries)
    skip(61)
    assert (await waits).status == 200
    for _ in range(4):
        assert (await links.request(MESSAGE)).status == 200
    assert tries == 1  # it is not tried first again
    await links.close()


async def test_an_old_connection_is_given_up_between_two_questions(
    tritons: tuple[HttpTriton, HttpTriton], skip: Callable[[float], None]
) -> None:
    first, _ = tritons
    links = ConnectionPool(Addresses(leads_to(first.place)), max_age_s=300)
    for _ in range(3):
        await links.request(MESSAGE)
    assert first.connections == 1
    skip(301)
    await links.request(MESSAGE)
    assert first.connections == 2
    first.delay_s = 300  # it grows old while its question is under way
    waits = asyncio.create_task(links.request(MESSAGE))
    await until(lambda: len(first.requests) == 5)
    skip(301)
    assert (await waits).status == 200
    first.delay_s = 0.0
    await links.request(MESSAGE)
    assert first.connections == 3
    await until(lambda: first.open_connections <= 1)
    await links.close()


async def test_a_place_that_left_the_name_is_left(tritons: tuple[HttpTriton, HttpTriton]) -> None:
    first, second = tritons
    places = [first.place]

    async def look_up() -> list[Endpoint]:
        return list(places)

    links = ConnectionPool(Addresses(look_up, max_age_s=0.01))
    await links.request(MESSAGE)
    places[:] = [second.place]
    before = asked(first, second)
    async with asyncio.timeout(60):
        while asked(second) == [0]:
            await asyncio.sleep(0.02)
            await links.request(MESSAGE)
        while first.open_connections:
            await asyncio.sleep(0.01)
    assert asked(first)[0] <= before[0] + 1
    await links.close()


async def test_few_connections_are_kept(tritons: tuple[HttpTriton, HttpTriton]) -> None:
    first, _ = tritons
    first.delay_s = 0.05
    links = ConnectionPool(Addresses(leads_to(first.place)))
    await asyncio.gather(*(links.request(MESSAGE) for _ in range(10)))
    assert first.connections == 10
    await until(lambda: first.open_connections <= 4)
    assert first.open_connections == 4
    await links.close()


async def test_what_is_under_way_at_the_end_is_answered(
    tritons: tuple[HttpTriton, HttpTriton],
) -> None:
    first, _ = tritons
    first.delay_s = 0.05
    links = ConnectionPool(Addresses(leads_to(first.place)))
    waits = asyncio.create_task(links.request(MESSAGE))
    await until(lambda: first.requests)
    await links.close()
    assert (await waits).status == 200
    await until(lambda: not first.open_connections)


async def test_a_connection_that_the_server_gives_up_is_not_used_again(
    tritons: tuple[HttpTriton, HttpTriton],
) -> None:
    first, _ = tritons
    links = ConnectionPool(Addresses(leads_to(first.place)))
    first.raw = http(503, b"{}", "Connection: close\r\n")
    assert (await links.request(MESSAGE)).status == 503
    first.raw = None
    assert Counter([(await links.request(MESSAGE)).status for _ in range(3)]) == {200: 3}
    assert first.connections == 2
    await links.close()


async def test_answers_that_nobody_asked_for_close_the_connection(
    tritons: tuple[HttpTriton, HttpTriton],
) -> None:
    first, _ = tritons
    links = ConnectionPool(Addresses(leads_to(first.place)))
    first.raw = http(200, b"one") + http(200, b"two")
    assert (await links.request(MESSAGE)).body == b"one"
    first.raw = http(200, b"three")
    assert (await links.request(MESSAGE)).body == b"three"
    # Not even a beginning, of which the next answer would become the rest.
    first.speaks_unasked = http(200, b"four")[:-2]
    assert (await links.request(MESSAGE)).body == b"three"
    await asyncio.sleep(0.05)
    first.speaks_unasked = b""
    first.raw = http(200, b"five")
    assert (await links.request(MESSAGE)).body == b"five"
    await links.close()


async def test_the_beginning_of_a_second_response_answers_no_other_request(
    tritons: tuple[HttpTriton, HttpTriton],
) -> None:
    first, _ = tritons
    pool = ConnectionPool(Addresses(leads_to(first.place)))
    strange = http(200, b"of a stranger")
    for cut in (1, 20, len(strange) - 2):  # in one segment with the response
        first.raw = http(200, b"one") + strange[:cut]
        assert (await pool.request(MESSAGE)).body == b"one"
        first.raw = http(200, b"two")
        assert (await pool.request(MESSAGE)).body == b"two"
    await pool.close()


@pytest.mark.parametrize("status", [100, 102, 103])
async def test_an_interim_response_is_not_the_response(
    tritons: tuple[HttpTriton, HttpTriton], status: int
) -> None:
    first, _ = tritons
    pool = ConnectionPool(Addresses(leads_to(first.place)))
    first.raw = f"HTTP/1.1 {status} Wait\r\nX-Wait: 1\r\n\r\n".encode() * 2 + http(200, b"one")
    for _ in range(2):
        reply = await pool.request(MESSAGE)
        assert (reply.status, reply.body, reply.headers.get(b"x-wait")) == (200, b"one", None)
    assert first.connections == 1
    await pool.close()


async def test_a_server_that_changes_the_protocol_is_refused(
    tritons: tuple[HttpTriton, HttpTriton],
) -> None:
    first, _ = tritons
    pool = ConnectionPool(Addresses(leads_to(first.place)))
    first.raw = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"
    with pytest.raises(ProtocolError, match="another protocol"):
        await pool.request(MESSAGE)
    await pool.close()


async def test_an_answer_has_a_size(
    tritons: tuple[HttpTriton, HttpTriton], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = tritons
    monkeypatch.setattr("gateway.triton.http.connection._LARGEST_BODY", 1000)
    links = ConnectionPool(Addresses(leads_to(first.place)))
    first.raw = http(200, b"." * 1000)
    assert len((await links.request(MESSAGE)).body) == 1000
    first.raw = http(200, b"." * 1001)
    with pytest.raises(ProtocolError, match="more than 1000"):
        await links.request(MESSAGE)
    await links.close()


async def test_a_link_that_is_closed_asks_nobody(tritons: tuple[HttpTriton, HttpTriton]) -> None:
    first, _ = tritons
    with pytest.raises(ConnectionError, match="is closed"):
        await Connection().request(MESSAGE)
    _, link = await asyncio.get_running_loop().create_connection(Connection, *first.place)
    link.close()
    with pytest.raises(ConnectionError, match="is closed"):
        await link.request(MESSAGE)
    assert asked(first) == [0]
