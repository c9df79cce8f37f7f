"""The load generator's own connection, against a server that answers oddly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.performance.rest_connection import RestConnection


@asynccontextmanager
async def answering(*pieces: bytes) -> AsyncIterator[RestConnection]:
    """A connection to a server that answers with these pieces, and hangs up at an empty one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.read(4096)).startswith(b"POST /here HTTP/1.1\r\n"):
            for piece in pieces:
                if not piece:
                    writer.close()
                    return
                writer.write(piece)
                await asyncio.sleep(0.001)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await RestConnection.open(f"http://127.0.0.1:{port}")
        try:
            yield connection
        finally:
            connection.close()
            await asyncio.sleep(0.01)  # the server sees the end of its input


async def test_an_answer_in_pieces_is_put_together_with_its_status() -> None:
    pieces = (b"HTTP/1.1 503 Busy\r\nContent-", b'Length: 7\r\n\r\n{"a"', b":1}")
    async with answering(*pieces) as connection:
        for _ in range(3):
            assert await connection.post("/here", b"{}") == (503, b'{"a":1}')


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
