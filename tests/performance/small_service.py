"""A service that answers as the API does, in a thread, and does wrong when it is told to."""

import asyncio
import json
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

THRESHOLD = 0.4
DAY = "2026-08-14"
Answer = dict[str, Any]


def right(code: str, day: str) -> Answer:
    """What is answered to one question."""
    probability = zlib.crc32(code.encode()) % 1000 / 1000
    return {
        "bse_code": code,
        "prediction_date": day,
        "predicted_label": int(probability >= THRESHOLD),
        "probability": probability,
        "model_version": 7,
    }


@dataclass
class SmallService:
    """Counts what it is asked. `spoil` changes answers, `delay_s` says how late a request is
    answered by its number, `status` and `last` are its status and whether the connection ends.
    """

    codes: list[str]
    spoil: Callable[[list[Answer]], list[Answer]] = lambda answers: answers
    delay_s: Callable[[int], float] = lambda number: 0.0
    status: int = 200
    last: bool = False
    asked: int = 0
    connections: int = 0
    url: str = ""
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, target, _ = head.split(" ", 2)
                body = await reader.readexactly(_length(head))
                status, document = await self._answer(method, target, body)
                content = json.dumps(document).encode()
                end = "connection: close\r\n" if self.last else ""
                writer.write(
                    f"HTTP/1.1 {status} So\r\ncontent-type: application/json\r\n{end}"
                    f"content-length: {len(content)}\r\n\r\n".encode()
                    + content
                )
                await writer.drain()
                if self.last:
                    break
        writer.close()
        self._tasks.discard(task)

    async def _answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        address = urlsplit(target)
        if method == "GET":
            return 200, self._read(address.path, parse_qs(address.query))
        self.asked += 1
        await asyncio.sleep(self.delay_s(self.asked - 1))
        asked = json.loads(body)
        items = asked["predictions"] if address.path.endswith("batch_predict") else [asked]
        answers = self.spoil([right(item["bse_code"], item["prediction_date"]) for item in items])
        return self.status, answers if items is not asked and "predictions" in asked else answers[0]

    def _read(self, path: str, query: dict[str, list[str]]) -> Any:
        if path.endswith("/models"):
            return {"versions": [{"model_version": 7, "threshold": THRESHOLD}]}
        if path.endswith("/cache/stats"):
            counts = {"asked": self.asked, "misses": self.asked // 4}
            return {"kinds": {"predictions": {"since_start": counts}}, "features_model": counts}
        begin, count = int(query["offset"][0]), int(query["limit"][0])
        page = self.codes[begin : begin + count]
        return {"stocks": [{"bse_code": code, "newest_price_date": DAY} for code in page]}

    async def _run(self, started: threading.Event, over: threading.Event) -> None:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await asyncio.to_thread(over.wait)
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextmanager
def small_service(stocks: int = 300, **ways: Any) -> Iterator[SmallService]:
    """A service that is up until the block ends."""
    made = SmallService([f"{500_000 + number}" for number in range(stocks)], **ways)
    started, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(made._run(started, over),))
    thread.start()
    assert started.wait(10)
    try:
        yield made
    finally:
        over.set()
        thread.join()


def _length(head: str) -> int:
    for line in head.lower().split("\r\n"):
        if line.startswith("content-length:"):
            return int(line.partition(":")[2])
    return 0
