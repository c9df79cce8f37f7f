"""The tier in Redis for coroutines: concurrent reads share a round trip."""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import redis

from gateway.cache.plan import Plan
from gateway.cache.redis.availability import Availability
from gateway.cache.redis.connection import FAILURES, RedisConnections
from gateway.cache.redis.reading import GENERATIONS, VALUES, Question, Reading

# Round trips in flight at once. Later readers share the next one: most of the cost of a round trip
# is the processor time of the client.
_READERS = 2
_MOST_KEYS = 512
# The most values that wait to be written; further ones are not written, and computed again.
_MOST_UNWRITTEN = 4_096

# What is computed within this time is written together: other processes can wait for it.
_TOGETHER_S = 0.02

# A request that took so many timeouts has not waited for Redis alone.
_TOO_LATE = 1.5

_Given = TypeVar("_Given")
Envelopes = Mapping[str, tuple[bytes, int]]


@dataclass(frozen=True, slots=True)
class _Wanted:
    keys: Sequence[str]
    reading: asyncio.Future[Reading | None]


class RemoteTier:
    """Envelopes in Redis, for one event loop: created and closed in it.

    No method raises: a Redis that does not answer counts as empty.
    """

    def __init__(self, plan: Plan, availability: Availability) -> None:
        """The address has already been checked."""
        self._links = RedisConnections(plan)
        self._availability = availability
        self._too_late_s = _TOO_LATE * plan.timeout_s
        self._failed_at = 0.0
        self._wanted: list[_Wanted] = []
        self._unwritten: dict[str, tuple[bytes, int]] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.Task[None]] = set()
        self._writes: set[asyncio.Task[None]] = set()
        self._alone = asyncio.Lock()  # one write at a time for callers that wait

    async def read(self, keys: Sequence[str]) -> Reading | None:
        """The current values; None if Redis did not answer."""
        if not self._availability.may_be_asked:
            return None
        wanted = _Wanted(keys, asyncio.get_running_loop().create_future())
        self._wanted.append(wanted)
        if _at_work(self._readers) < _READERS:
            _hold(self._readers, self._read_on(), "tezi-cache-read")
        return await wanted.reading

    async def write(self, envelopes: Envelopes) -> None:
        """Write envelopes, each with its TTL in ms, if Redis is up."""
        for key in envelopes:  # earlier values that still wait are older
            self._unwritten.pop(key, None)
        await asyncio.shield(_hold(self._writes, self._write_alone(envelopes), "tezi-cache-write"))

    def write_later(self, envelopes: Envelopes) -> None:
        """Write them soon, together with those of other callers, without waiting."""
        if not self._availability.may_be_asked:
            return
        if len(self._unwritten) + len(envelopes) <= _MOST_UNWRITTEN:
            self._unwritten.update(envelopes)
        if not _at_work(self._writers):
            _hold(self._writers, self._write_on(), "tezi-cache-write")

    async def close(self) -> None:
        """Close the connections when the requests in flight have ended."""
        await asyncio.gather(*self._readers, *self._writers, *self._writes, return_exceptions=True)
        await self._links.close()

    async def _read_on(self) -> None:
        """Read for all waiting callers, until none is left."""
        while self._wanted:
            together = self._next_wanted()
            keys = tuple(dict.fromkeys(key for wanted in together for key in wanted.keys))
            reading: Reading | None = None
            try:
                reading = await self._asked(self._read(Question(keys)))
            finally:
                for wanted in together:
                    if not wanted.reading.done():
                        wanted.reading.set_result(reading)

    def _next_wanted(self) -> list[_Wanted]:
        together, count = [self._wanted[0]], len(self._wanted[0].keys)
        for wanted in self._wanted[1:]:
            count += len(wanted.keys)
            if count > _MOST_KEYS:
                break
            together.append(wanted)
        del self._wanted[: len(together)]
        return together

    async def _write_on(self) -> None:
        while self._unwritten:
            await asyncio.sleep(_TOGETHER_S)
            envelopes = dict(islice(self._unwritten.items(), _MOST_KEYS))
            for key in envelopes:
                del self._unwritten[key]
            await self._asked(self._write(envelopes))

    async def _write_alone(self, envelopes: Envelopes) -> None:
        async with self._alone:
            await self._asked(self._write(envelopes))

    async def _read(self, question: Question) -> Reading:
        return question.read(
            await self._links.send(
                ("MGET", *question.value_keys), ("HMGET", GENERATIONS, *question.fields)
            )
        )

    async def _write(self, envelopes: Envelopes) -> None:
        answers = await self._links.send(
            *(
                ("SET", VALUES + key, envelope, "PX", span_ms)
                for key, (envelope, span_ms) in envelopes.items()
            )
        )
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer

    async def _asked(self, question: Coroutine[Any, Any, _Given]) -> _Given | None:
        if not self._availability.may_be_asked:
            question.close()
            return None
        began = time.monotonic()
        try:
            answer = await question
        except FAILURES as error:
            self._failed(error, began)
            return None
        self._availability.answered()
        return answer if self._availability.may_be_asked else None

    def _failed(self, error: BaseException, began: float) -> None:
        """Count a failure of Redis, unless this process itself may have been late.

        A busy event loop sees the timeout before it sees a reply that has arrived. The polling
        thread notices as well if Redis is really late.
        """
        if isinstance(error, redis.TimeoutError) and time.monotonic() - began > self._too_late_s:
            return
        if began < self._failed_at:
            return  # concurrent with one that failed: counted once
        self._failed_at = time.monotonic()
        self._availability.failed(error)


def _at_work(tasks: set[asyncio.Task[None]]) -> int:
    """How many are running: an ended task leaves the set one turn of the event loop later."""
    return sum(not task.done() for task in tasks)


def _hold(
    tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None], name: str
) -> asyncio.Task[None]:
    """Run `work` in a task of its own: a leaving caller must not break off a reply."""
    task = asyncio.create_task(work, name=name)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task
