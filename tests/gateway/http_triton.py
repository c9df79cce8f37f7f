"""A real HTTP server that answers as Triton does, and as each test has it do otherwise."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from gateway.triton.http.addresses import Endpoint, LookUp
from gateway.triton.tensors import pack_texts
from preprocess.features.row import Status


@dataclass
class Output:
    """One output; without bytes of its own it stands in the header alone."""

    name: str
    datatype: str
    shape: list[int]
    content: bytes | None


Outputs = list[Output]
Change = Callable[[Outputs], None]


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    header: dict[str, Any]
    content: bytes
    connection: int


def right_outputs(count: int) -> Outputs:
    """What the ensembles give, for as many rows."""
    words = [Status.OK, Status.UNKNOWN_STOCK, Status.SHORT_HISTORY] * count
    days = ["2020-01-01", "", ""] * count
    return [
        Output("features", "FP32", [count, 25], struct.pack(f"<{25 * count}f", *range(25 * count))),
        Output("as_of", "BYTES", [count, 1], pack_texts(days[:count])),
        Output("status", "BYTES", [count, 1], pack_texts(words[:count])),
        Output("probability", "FP32", [count, 1], struct.pack(f"<{count}f", *[0.25] * count)),
        Output("model_version", "INT64", [count, 1], struct.pack(f"<{count}q", *[7] * count)),
    ]


@dataclass
class HttpTriton:
    """Answers, then changes the answer, is slow, refuses, or sends `raw` in place of an answer."""

    change: Change = lambda outputs: None
    delay_s: float = 0.0
    failure: tuple[int, str] | None = None
    raw: bytes | None = None
    id: str = ""
    hangs_up: bool = False
    speaks_unasked: bytes = b""
    requests: list[Asked] = field(default_factory=list)
    connections: int = 0
    cancelled: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def place(self) -> Endpoint:
        """Where it listens."""
        return self.host, self.port

    @property
    def open_connections(self) -> int:
        """Those that nobody has closed."""
        return len(self._writers)

    async def start(self) -> "HttpTriton":
        """Listen, on the port that it had before if there was one."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.add(writer)
        try:
            while True:
                asked = await _request(reader, number)
                self.requests.append(asked)
                if self.delay_s and await self._left(reader):
                    return
                if self.hangs_up:
                    return
                writer.write(self._answer(asked) if self.raw is None else self.raw)
                await writer.drain()
                if self.speaks_unasked:
                    await asyncio.sleep(0.01)
                    writer.write(self.speaks_unasked)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _left(self, reader: asyncio.StreamReader) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.delay_s):
                await reader.read(1)
            self.cancelled += 1
            return True
        return False

    def _answer(self, asked: Asked) -> bytes:
        if self.failure is not None:
            return http(self.failure[0], json.dumps({"error": self.failure[1]}).encode())
        outputs = right_outputs(asked.header["inputs"][0]["shape"][0])
        self.change(outputs)
        return inference(outputs, self.id or asked.header["id"])


def inference(outputs: Outputs, request_id: str) -> bytes:
    """The response that carries these."""
    named: list[dict[str, Any]] = [
        {"name": output.name, "datatype": output.datatype, "shape": output.shape}
        for output in outputs
    ]
    for entry, output in zip(named, outputs, strict=True):
        if output.content is not None:
            entry["parameters"] = {"binary_data_size": len(output.content)}
    header = json.dumps({"id": request_id, "model_name": "m", "outputs": named}).encode()
    content = b"".join(output.content or b"" for output in outputs)
    return http(200, header + content, f"Inference-Header-Content-Length: {len(header)}\r\n")


def http(status: int, body: bytes, headers: str = "") -> bytes:
    """An answer with this body."""
    head = f"HTTP/1.1 {status} Said\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _request(reader: asyncio.StreamReader, connection: int) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *fields = head.rstrip().split("\r\n")
    headers = dict(entry.lower().split(": ", 1) for entry in fields)
    body = await reader.readexactly(int(headers["content-length"]))
    length = int(headers["inference-header-content-length"])
    return Asked(line.split()[1], json.loads(body[:length]), body[length:], connection)


def leads_to(*places: Endpoint) -> LookUp:
    """A name that leads to these."""

    async def look_up() -> list[Endpoint]:
        return list(places)

    return look_up


@asynccontextmanager
async def serving(*tritons: HttpTriton) -> AsyncIterator[None]:
    """Let them serve until the block ends."""
    for triton in tritons:
        await triton.start()
    try:
        yield
    finally:
        for triton in tritons:
            await triton.stop()
