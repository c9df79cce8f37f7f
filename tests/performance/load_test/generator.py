"""Sends requests when they are due, whatever became of those before them, in a lean process.

Latency counts from the moment at which a request was due: a server that stalls is not spared the
requests that would have come meanwhile (no coordinated omission), and a generator that is late
shows its lateness as latency. `late_ms` says how much of it is the generator's own.
"""

import asyncio
import gc
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import uvloop
from numpy.typing import NDArray

from preprocess.market.values import Floats
from tests.performance.load_test.checks import Checks
from tests.performance.load_test.mix import Call, Pair
from tests.performance.load_test.timer import PreciseTimer
from tests.performance.rest_connection import RestConnection

# Callers that wait longer than this have gone.
PATIENCE_S = 10.0
_CONNECTIONS = 400
_AT_FIRST = 16
# The first moment is so far ahead that it can be met.
_RUN_UP_S = 0.05


@dataclass(frozen=True)
class Outcome:
    """What became of the requests, in the order in which they were due.

    `due_s` counts from the begin of the load, `began` is that begin by time.monotonic. `failures`
    counts findings by their text. `seen` is what was answered to a question, least and greatest.
    """

    began: float
    due_s: Floats
    latency_ms: Floats
    late_ms: Floats
    failed: NDArray[np.bool_]
    failures: Mapping[str, int]
    seen: Mapping[Pair, tuple[float, float]]

    @property
    def errors(self) -> int:
        """Requests without a right answer."""
        return int(self.failed.sum())

    def quantile(self, percent: float) -> float:
        """Of the latencies, those of failures among them, in ms."""
        return float(np.percentile(self.latency_ms, percent))


@dataclass
class OpenLoop:
    """One load under way; its outcome is made when all is answered or given up."""

    url: str
    due_s: Floats
    checks: Checks
    _idle: list[RestConnection] = field(default_factory=list)
    _waiting: deque[tuple[int, Call]] = field(default_factory=deque)
    _asked: dict[RestConnection, int] = field(default_factory=dict)
    _openings: set["asyncio.Task[None]"] = field(default_factory=set)
    _failures: Counter[str] = field(default_factory=Counter)

    async def run(self, calls: Iterator[Call]) -> Outcome:
        """Send one call a moment.

        Raises:
            OSError: nobody listens at the address.
        """
        count = len(self.due_s)
        self._calls = calls
        self._latency_ms = np.full(count, np.nan)
        self._late_ms = np.zeros(count)
        self._failed = np.zeros(count, dtype=bool)
        self._left, self._next = count, 0
        self._done = asyncio.Event()
        self._idle = [await RestConnection.open(self.url) for _ in range(_AT_FIRST)]
        self._began = time.perf_counter() + _RUN_UP_S
        began = time.monotonic() + _RUN_UP_S
        self._timer = PreciseTimer(self._wake)
        impatience = asyncio.create_task(self._give_up())
        # A full collection would stop the generator for longer than answers take.
        gc.collect()
        gc.disable()
        try:
            if count:
                self._timer.set(self._began + float(self.due_s[0]))
                await self._done.wait()
        finally:
            gc.enable()
            self._timer.close()
            impatience.cancel()
            for opening in self._openings:
                opening.cancel()
            for connection in (*self._idle, *self._asked):
                connection.close()
        return Outcome(
            began,
            self.due_s,
            self._latency_ms,
            self._late_ms,
            self._failed,
            dict(self._failures),
            self.checks.seen,
        )

    def _wake(self) -> None:
        """Send all that is due, and set the timer to what is due next."""
        due, count = self.due_s, len(self.due_s)
        while self._next < count:
            moment = self._began + due[self._next]
            late_s = time.perf_counter() - moment
            if late_s < 0:
                self._timer.set(moment)
                return
            number, self._next = self._next, self._next + 1
            self._late_ms[number] = late_s * 1e3
            self._send(number, next(self._calls))

    def _send(self, number: int, call: Call) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                self._ask(connection, number, call)
                return
        self._waiting.append((number, call))
        if len(self._asked) + len(self._openings) < _CONNECTIONS:
            opening = asyncio.create_task(self._open())
            self._openings.add(opening)
            opening.add_done_callback(self._openings.discard)

    async def _open(self) -> None:
        try:
            connection = await RestConnection.open(self.url)
        except OSError as error:
            if self._waiting:
                self._settle(*self._waiting.popleft(), f"no connection: {error.strerror}")
        else:
            self._reuse(connection)

    def _ask(self, connection: RestConnection, number: int, call: Call) -> None:
        self._asked[connection] = number
        answer = connection.send(call.path, call.body)
        answer.add_done_callback(partial(self._answered, connection, number, call))

    def _answered(
        self,
        connection: RestConnection,
        number: int,
        call: Call,
        answer: "asyncio.Future[tuple[int, bytes]]",
    ) -> None:
        del self._asked[connection]
        error = answer.exception()
        if error is None:
            self._settle(number, call, None, *answer.result())
        else:
            self._settle(number, call, "hung up" if connection.is_open else str(error))
        self._reuse(connection)

    def _reuse(self, connection: RestConnection) -> None:
        if not connection.is_open:
            return
        if self._waiting:
            self._ask(connection, *self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _settle(
        self, number: int, call: Call, finding: str | None, status: int = 0, body: bytes = b""
    ) -> None:
        now = time.perf_counter()
        self._latency_ms[number] = (now - self._began - self.due_s[number]) * 1e3
        wrong = self.checks.finding(call, status, body) if finding is None else finding
        if wrong:
            self._failed[number] = True
            self._failures[wrong] += 1
        self._left -= 1
        if not self._left:
            self._done.set()

    async def _give_up(self) -> None:
        """Hang up where an answer is overdue, and forget those that nobody could be asked."""
        while True:
            await asyncio.sleep(1.0)
            oldest = time.perf_counter() - self._began - PATIENCE_S
            for connection, number in list(self._asked.items()):
                if self.due_s[number] < oldest:
                    connection.close()
            while self._waiting and self.due_s[self._waiting[0][0]] < oldest:
                number, call = self._waiting.popleft()
                self._settle(number, call, f"no answer within {PATIENCE_S:g} s")


def generate(
    url: str, calls: Iterator[Call], due_s: Floats, thresholds: Mapping[int, float]
) -> Outcome:
    """Send calls when they are due, and look at every answer."""
    return uvloop.run(OpenLoop(url, due_s, Checks(thresholds)).run(calls))
