"""What stands behind nginx in its tests: a server that does to each request what a test says."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

JSON = "content-type: application/json\r\n"


class Replica:
    """Counts requests by path. `delay_s` is waited, `body` answered; `drops` hangs up instead.

    `statuses` are those of paths that are not answered 200.
    """

    def __init__(self) -> None:
        self.port = 0
        self.asked: Counter[str] = Counter()
        self.heads: list[str] = []
        self.statuses: dict[str, int] = {}
        self.delay_s = 0.0
        self.drops = False
        self.body = b'{"status":"ready"}'
        self.headers = JSON
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen, on the port of before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hang up on everybody; new connections are refused."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                stated = next(
                    (
                        int(line.split(":")[1])
                        for line in head.lower().splitlines()
                        if line.startswith("content-length:")
                    ),
                    0,
                )
                await reader.readexactly(stated)
                self.heads.append(head)
                path = head.split()[1].partition("?")[0]
                self.asked[path] += 1
                await asyncio.sleep(self.delay_s)
                if self.drops:
                    return
                status = self.statuses.get(path, 200)
                length = f"content-length: {len(self.body)}\r\n"
                answer = f"HTTP/1.1 {status} \r\n{self.headers}{length}\r\n"
                writer.write(answer.encode() + self.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()


@asynccontextmanager
async def replicas() -> AsyncIterator[tuple[Replica, Replica]]:
    """Two that listen."""
    both = Replica(), Replica()
    for replica in both:
        await replica.start()
    try:
        yield both
    finally:
        for replica in both:
            await replica.stop()
