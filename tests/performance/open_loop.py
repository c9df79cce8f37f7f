"""Open-loop load: each request is sent when it is due, whatever became of those before it.

Latency counts from the moment at which a request was due: a server that stalls is not spared the
requests that would have come meanwhile (no coordinated omission), and a generator that is late
shows its lateness as latency. `late_ms` says how much of it is the generator's own.
"""

import asyncio
import gc
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import msgspec

from tests.performance.load_test.timer import PreciseTimer
from tests.performance.rest_connection import RestConnection

# A client that waits longer than this has gone.
TIMEOUT_S = 10.0
_CONNECTIONS = 400
_CONNECTIONS_AT_START = 16
# The first request is due so far ahead that it can be sent in time.
_LEAD_S = 0.05


class Call(Protocol):
    """A POST request with a JSON body."""

    @property
    def path(self) -> str:
        """Where it is sent."""

    @property
    def body(self) -> bytes:
        """The JSON document."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of request `number`; without a response `status` is 0 and `error` says why."""

    number: int
    due_s: float
    late_ms: float
    latency_ms: float
    status: int
    body: bytes
    error: str


@dataclass(frozen=True, slots=True)
class _Sent:
    number: int
    due_s: float
    late_ms: float


@dataclass
class OpenLoop:
    """Sends `call(number)` when `due_s(number)` seconds have passed, and reports every reply."""

    url: str
    call: Callable[[int], Call]
    due_s: Callable[[int], float]
    on_reply: Callable[[Reply], None]
    count: float = math.inf
    _idle: list[RestConnection] = field(default_factory=list)
    _waiting: deque[_Sent] = field(default_factory=deque)
    _in_flight: dict[RestConnection, _Sent] = field(default_factory=dict)
    _openings: set["asyncio.Task[None]"] = field(default_factory=set)
    _next: int = 0
    _settled: int = 0

    async def run(self) -> float:
        """Send everything and wait for every reply; returns the start by time.monotonic.

        Raises:
            OSError: the address refuses connections.
        """
        self._done = asyncio.Event()
        self._idle = [await RestConnection.open(self.url) for _ in range(_CONNECTIONS_AT_START)]
        self._began = time.monotonic() + _LEAD_S
        self._timer = PreciseTimer(self._send_due)
        overdue = asyncio.create_task(self._abandon_overdue())
        # A full collection would stop the generator for longer than replies take.
        gc.collect()
        gc.disable()
        try:
            self._send_due()
            self._check_done()
            await self._done.wait()
        finally:
            gc.enable()
            self._timer.close()
            overdue.cancel()
            for opening in self._openings:
                opening.cancel()
            for connection in (*self._idle, *self._in_flight):
                connection.close()
        return self._began

    def stop(self) -> None:
        """Send nothing more; `run` returns when every reply is there."""
        self.count = self._next
        self._check_done()

    def _send_due(self) -> None:
        """Send all that is due, and set the timer to what is due next."""
        while self._next < self.count:
            due_s = self.due_s(self._next)
            late_s = time.monotonic() - self._began - due_s
            if late_s < 0:
                self._timer.set(self._began + due_s)
                return
            sent = _Sent(self._next, due_s, late_s * 1e3)
            self._next += 1
            self._send(sent)

    def _send(self, sent: _Sent) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                self._send_over(connection, sent)
                return
        self._waiting.append(sent)
        if len(self._in_flight) + len(self._openings) < _CONNECTIONS:
            opening = asyncio.create_task(self._open())
            self._openings.add(opening)
            opening.add_done_callback(self._openings.discard)

    async def _open(self) -> None:
        try:
            connection = await RestConnection.open(self.url)
        except OSError as error:
            if self._waiting:
                self._settle(self._waiting.popleft(), error=f"no connection: {error.strerror}")
        else:
            self._reuse(connection)

    def _send_over(self, connection: RestConnection, sent: _Sent) -> None:
        self._in_flight[connection] = sent
        call = self.call(sent.number)
        reply = connection.send(call.path, call.body)
        reply.add_done_callback(partial(self._replied, connection))

    def _replied(
        self, connection: RestConnection, reply: "asyncio.Future[tuple[int, bytes]]"
    ) -> None:
        sent = self._in_flight.pop(connection)
        error = reply.exception()
        if error is None:
            self._settle(sent, *reply.result())
        else:
            self._settle(sent, error=str(error))
        self._reuse(connection)

    def _reuse(self, connection: RestConnection) -> None:
        if not connection.is_open:
            return
        if self._waiting:
            self._send_over(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _settle(self, sent: _Sent, status: int = 0, body: bytes = b"", error: str = "") -> None:
        latency_ms = (time.monotonic() - self._began - sent.due_s) * 1e3
        self._settled += 1
        self.on_reply(Reply(sent.number, sent.due_s, sent.late_ms, latency_ms, status, body, error))
        self._check_done()

    def _check_done(self) -> None:
        if self._settled == self._next >= self.count:
            self._done.set()

    async def _abandon_overdue(self) -> None:
        """Close connections whose reply is overdue, and drop overdue requests without one."""
        while True:
            await asyncio.sleep(min(1.0, TIMEOUT_S))
            oldest = time.monotonic() - self._began - TIMEOUT_S
            for connection, sent in list(self._in_flight.items()):
                if sent.due_s < oldest:
                    connection.close()
            while self._waiting and self._waiting[0].due_s < oldest:
                self._settle(self._waiting.popleft(), error=f"no reply within {TIMEOUT_S:g} s")


@dataclass(frozen=True, slots=True)
class Request:
    """One prediction to request."""

    bse_code: str
    prediction_date: str
    variant: str = "fp32"

    @property
    def path(self) -> str:
        """Where it is sent."""
        return "/api/v1/predict"

    @property
    def body(self) -> bytes:
        """The JSON document."""
        return (
            f'{{"bse_code":"{self.bse_code}","prediction_date":"{self.prediction_date}",'
            f'"variant":"{self.variant}"}}'
        ).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request. `due_s` counts from the start of the load.

    `status` is 0 where there was no response; `version` and `probability` are those of the body.
    """

    request: Request
    due_s: float
    latency_ms: float
    status: int
    version: int | None = None
    probability: float | None = None
    detail: str = ""


async def open_loop(
    url: str, requests: Sequence[Request], *, rate: float, until: asyncio.Event
) -> list[Answer]:
    """Send `requests` over and over, `rate` a second, until `until` is set."""
    answers: list[Answer] = []

    def on_reply(reply: Reply) -> None:
        request = requests[reply.number % len(requests)]
        status, latency_ms = reply.status, reply.latency_ms
        if status == 200:
            body = msgspec.json.decode(reply.body)
            version, probability, detail = body["model_version"], body["probability"], ""
        else:
            version, probability, detail = None, None, reply.error or reply.body.decode()
        answers.append(
            Answer(request, reply.due_s, latency_ms, status, version, probability, detail)
        )

    async def stop() -> None:
        await until.wait()
        load.stop()

    load = OpenLoop(url, lambda n: requests[n % len(requests)], lambda n: n / rate, on_reply)
    stopping = asyncio.create_task(stop())
    try:
        await load.run()
    finally:
        stopping.cancel()
    return answers
