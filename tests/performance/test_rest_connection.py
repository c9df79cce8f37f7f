"""The load generator's own connection, against a server that answers oddly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.performance.rest_connection import RestConnection


@asynccontextmanager
async def answering(*pieces: bytes) -> AsyncIterator[RestConnection]:
    """A connection to a server that answers with these pieces; an empty one is hanging up."""
    served: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        while (await reader.read(4096)).startswith(b"POST /here HTTP/1.1\r\n"):
            for piece in pieces:
                if piece:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.001)
                else:
                    writer.close()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connection = await RestConnection.open(f"http://127.0.0.1:{port}")
        try:
            yield connection
        finally:
            connection.close()
            await asyncio.gather(*(task for task in served if task is not None))


async def test_an_answer_in_pieces_is_put_together() -> None:
    pieces = (b"HTTP/1.1 200 OK\r\nContent-", b'Length: 7\r\n\r\n{"a"', b":1}")
    async with answering(*pieces) as connection:
        for _ in range(3):
            assert await connection.post("/here", b"{}") == (200, b'{"a":1}')


async def test_the_status_is_told() -> None:
    async with answering(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n") as connection:
        assert await connection.post("/here", b"{}") == (503, b"")


async def test_who_hangs_up_is_an_error() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n", b"") as connection:
        with pytest.raises(ConnectionError, match="hung up"):
            await connection.post("/here", b"{}")
        with pytest.raises(ConnectionError, match="has hung up"):
            await connection.post("/here", b"{}")


async def test_an_answer_without_a_length_is_an_error() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n{}") as connection:
        with pytest.raises(ConnectionError, match="without a length"):
            await connection.post("/here", b"{}")
