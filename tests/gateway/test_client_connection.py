"""Fewer writes, bounds for strangers, and offers of other protocols."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from gateway import client_connection as module
from gateway.client_connection import ClientConnection, GatheredTransport
from tests.gateway.fakes import until


class Wire(asyncio.Transport):
    """Keeps what is sent, in the pieces in which it is."""

    def __init__(self) -> None:
        super().__init__({"peername": ("10.0.0.1", 5)})
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def test_one_piece_a_turn() -> None:
    wire = Wire()
    transport = GatheredTransport(wire, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert wire.sent == []
    await asyncio.sleep(0)
    assert wire.sent == [b"head body"]
    transport.write(b"next")
    await asyncio.sleep(0)
    assert wire.sent == [b"head body", b"next"]


async def test_what_was_written_is_sent_before_the_end() -> None:
    wire = Wire()
    transport = GatheredTransport(wire, asyncio.get_running_loop())
    transport.write(b"last words")
    transport.close()
    assert wire.sent == [b"last words"]
    assert transport.is_closing()
    await asyncio.sleep(0)
    assert wire.sent == [b"last words"]


async def test_a_client_that_has_gone_is_sent_nothing() -> None:
    wire = Wire()
    transport = GatheredTransport(wire, asyncio.get_running_loop())
    transport.write(b"too late")
    wire.close()
    await asyncio.sleep(0)
    assert wire.sent == []
    assert transport.get_extra_info("peername") == ("10.0.0.1", 5)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with method, path, and the body's length."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    answer = f"{scope['method']} {scope['path']} {len(body)}".encode()
    headers = [(b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def serving(
    app: ASGIApp = echo, *, most: int | None = None
) -> AsyncIterator[tuple[Callable[..., Awaitable[Client]], set[ClientConnection]]]:
    """Opens connections to a server of `app`; and the server's side of them."""
    config = uvicorn.Config(app, ws="none", log_config=None, limit_concurrency=most)
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: ClientConnection(config, state, {}, loop), "127.0.0.1", 0
    )
    writers: list[asyncio.StreamWriter] = []

    async def connect(source: str = "127.0.0.2") -> Client:
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address, local_addr=(source, 0))
        writers.append(writer)
        return reader, writer

    try:
        yield connect, cast("set[ClientConnection]", state.connections)
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()


async def answer(reader: asyncio.StreamReader) -> str:
    """What comes before the connection is closed; "" if it is closed with a reset."""
    async with asyncio.timeout(60):
        try:
            return (await reader.read()).decode()
        except ConnectionResetError:
            return ""


@pytest.mark.parametrize("split", [None, 30, -3], ids=["whole", "in the head", "in the body"])
@pytest.mark.parametrize(
    ("more", "body", "length"),
    [
        (b"content-length: 5\r\n", b"hello", 5),
        (b"transfer-encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n", 5),
        (b"", b"", 0),
    ],
    ids=["length", "chunked", "no body"],
)
@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
async def test_an_offer_of_another_protocol_is_answered_in_http_1(
    protocol: bytes, more: bytes, body: bytes, length: int, split: int | None
) -> None:
    request = (
        b"POST /a?b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: %s\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n%s\r\n%s"
    ) % (protocol, more, body)
    async with serving() as (connect, _):
        reader, writer = await connect()
        writer.write(request[:split])
        await asyncio.sleep(0.05 if split else 0)  # so that it arrives in two segments
        writer.write(request[split:] if split else b"")
        writer.write(b"GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        found = await answer(reader)
    assert found.count("HTTP/1.1 200 OK") == 2
    assert f"POST /a {length}" in found
    assert found.endswith("GET /next 0")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        (b"GET / HTTP/9\r\n\r\n", "400"),
        (b"GET /" + b"x" * 200_000, "431"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 40_000, "431"),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 200_000, "431"),
    ],
    ids=["CONNECT", "version", "URL", "headers", "header"],
)
async def test_heads_that_are_wrong_or_too_large(request_: bytes, status: str) -> None:
    async with serving() as (connect, _):
        reader, writer = await connect()
        writer.write(request_)
        found = await answer(reader)
    assert found.split()[1:2] in ([status], [])  # with unread bytes the kernel may reset first
    assert not found or json.loads(found.partition("\r\n\r\n")[2])["detail"]


@pytest.mark.parametrize("filler", [b"0\r\n" + b"a: b\r\n" * 40_000, b"1;" + b"x" * 200_000])
async def test_trailers_and_extensions_of_chunks_are_bounded(filler: bytes) -> None:
    async with serving() as (connect, connections):
        _, writer = await connect()
        writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n" + filler)
        await until(lambda: connections)
        await until(lambda: not connections)


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (b"", module.HEAD_S),
        (b"GET / HTTP/1.1\r\nHost", module.HEAD_S),
        (b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nx", module.BODY_S),
    ],
    ids=["nothing", "head", "body"],
)
async def test_slow_clients_are_left(sent: bytes, seconds: float) -> None:
    async with serving() as (connect, connections):
        _, writer = await connect()
        writer.write(sent)
        (connection,) = await until(lambda: connections)
        await until(lambda: not sent or connection.headers is not None)
        await until(lambda: seconds == module.HEAD_S or not connection._in_head)
        now = asyncio.get_running_loop().time()
        connection.close_if_overdue(now + seconds - 1.0 - 60.0)
        assert not connection.transport.is_closing()
        connection.close_if_overdue(now + seconds + 0.1)
        await until(lambda: not connections)


async def test_an_idle_connection_between_requests_is_not_slow() -> None:
    async with serving() as (connect, connections):
        reader, writer = await connect()
        writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"GET /a 0")
        (connection,) = connections
        connection.close_if_overdue(asyncio.get_running_loop().time() + 1e6)
        assert not connection.transport.is_closing()


async def test_a_client_that_does_not_read_is_left() -> None:
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % 50_000_000)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 50_000_000})

    async with serving(large) as (connect, connections):
        _, writer = await connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        (connection,) = await until(lambda: connections)
        await until(connection.transport.get_write_buffer_size)
        now = asyncio.get_running_loop().time()
        connection.close_if_overdue(now)
        connection.close_if_overdue(now + module.RESPONSE_S - 0.1)
        assert not connection.transport.is_closing()
        connection.close_if_overdue(now + module.RESPONSE_S + 0.1)
        await until(lambda: not connections)


async def test_connections_are_bounded() -> None:
    async with serving(most=3) as (connect, connections):
        clients = [await connect() for _ in range(3)]
        await until(lambda: len(connections) == 3)
        reader, _ = await connect()
        assert await answer(reader) == ""
        clients[0][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(60):
            assert (await clients[0][0].readline()).split()[1] == b"503"
        reader, writer = await connect("127.0.0.1")  # as `tezi up` looks whether it is alive
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert "200 OK" in await answer(reader)
        await until(lambda: len(connections) == 2)  # the refused one was closed
        clients[2][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(60):
            assert (await clients[2][0].readline()).split()[1] == b"200"
