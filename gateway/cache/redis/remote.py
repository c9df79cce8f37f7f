"""The tier in Redis for coroutines: who asks at the same time travels together."""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import redis

from gateway.cache.plan import Plan
from gateway.cache.redis.availability import Availability
from gateway.cache.redis.link import FAILURES, LinkPool
from gateway.cache.redis.reading import GENERATIONS, VALUES, Question, Reading

# Round trips under way at once. Whoever comes meanwhile shares the next one: most of what a round
# trip costs is the processor time of the client.
_READERS = 2
_MOST_KEYS = 512
# Values that wait to be written; beyond it they are not, and will be computed once more.
_MOST_UNWRITTEN = 4_096

# What is computed within this time is written together: the other processes can wait for it.
_TOGETHER_S = 0.02

# So many time-outs after it was asked, a question has not waited for Redis alone.
_TOO_LATE = 1.5

_Given = TypeVar("_Given")
Envelopes = Mapping[str, tuple[bytes, int]]


@dataclass(frozen=True, slots=True)
class _Wanted:
    keys: Sequence[str]
    reading: asyncio.Future[Reading | None]


class RemoteTier:
    """Envelopes in Redis, for one event loop: made in it, and closed in it.

    No method raises: a Redis that does not answer holds nothing.
    """

    def __init__(self, plan: Plan, availability: Availability) -> None:
        """The address has been checked by then."""
        self._links = LinkPool(plan)
        self._availability = availability
        self._too_late_s = _TOO_LATE * plan.timeout_s
        self._failed_at = 0.0
        self._wanted: list[_Wanted] = []
        self._unwritten: dict[str, tuple[bytes, int]] = {}
        self._readers: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.Task[None]] = set()
        self._writes: set[asyncio.Task[None]] = set()
        self._alone = asyncio.Lock()  # for those who wait for their write

    async def read(self, keys: Sequence[str]) -> Reading | None:
        """The values that are held and current; None if Redis did not say."""
        if not self._availability.may_be_asked:
            return None
        wanted = _Wanted(keys, asyncio.get_running_loop().create_future())
        self._wanted.append(wanted)
        if _at_work(self._readers) < _READERS:
            _hold(self._readers, self._read_on(), "tezi-cache-read")
        return await wanted.reading

    async def write(self, envelopes: Envelopes) -> None:
        """Hold envelopes, each for so many ms, if Redis takes them."""
        for key in envelopes:  # what waits for them is older
            self._unwritten.pop(key, None)
        await asyncio.shield(_hold(self._writes, self._write_alone(envelopes), "tezi-cache-write"))

    def write_later(self, envelopes: Envelopes) -> None:
        """The same, together with what others have written meanwhile; nobody waits."""
        if not self._availability.may_be_asked:
            return
        if len(self._unwritten) + len(envelopes) <= _MOST_UNWRITTEN:
            self._unwritten.update(envelopes)
        if not _at_work(self._writers):
            _hold(self._writers, self._write_on(), "tezi-cache-write")

    async def close(self) -> None:
        """Let go of the connections, when what is under way has ended."""
        await asyncio.gather(*self._readers, *self._writers, *self._writes, return_exceptions=True)
        await self._links.close()

    async def _read_on(self) -> None:
        """Ask for everybody who waits, until nobody does."""
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
        """Hold it against Redis, unless it may have been this process that was late.

        A busy event loop sees the end of the time before it sees the reply that lies there. A
        Redis that is late indeed is noticed by the thread that renews the lease as well.
        """
        if isinstance(error, redis.TimeoutError) and time.monotonic() - began > self._too_late_s:
            return
        if began < self._failed_at:
            return  # asked beside one that failed: the same trouble, counted once
        self._failed_at = time.monotonic()
        self._availability.failed(error)


def _at_work(tasks: set[asyncio.Task[None]]) -> int:
    """How many have not ended: one that has leaves the set a turn of the event loop later."""
    return sum(not task.done() for task in tasks)


def _hold(
    tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None], name: str
) -> asyncio.Task[None]:
    """Run `work` in a task of its own: who leaves does not cut a reply off its connection."""
    task = asyncio.create_task(work, name=name)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task
