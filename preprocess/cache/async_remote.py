"""The tier in Redis for coroutines. A caller that leaves takes no reply along."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from preprocess.cache.availability import Availability
from preprocess.cache.plan import Plan
from preprocess.cache.reading import FENCES, VALUES, Question, Reading
from preprocess.cache.remote import CONNECTIONS, FAILURES, connection_options, is_crowded

_Given = TypeVar("_Given")


class AsyncRemoteTier:
    """As `RemoteTier`, for one event loop: made in it, and closed in it."""

    def __init__(self, plan: Plan, availability: Availability) -> None:
        """The address has been checked by then."""
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            plan.redis_url,
            max_connections=CONNECTIONS,
            timeout=plan.timeout_s,
            **connection_options(plan, Retry(NoBackoff(), 0)),
        )
        self._client = redis.asyncio.Redis(connection_pool=pool)
        self._availability = availability
        self._under_way: set[asyncio.Task[Any]] = set()

    async def read(self, keys: Sequence[str]) -> Reading | None:
        """The values that are held and current; None if Redis did not say."""
        return await self._ask(self._read(Question(keys)))

    async def write(self, envelopes: Mapping[str, tuple[bytes, int]]) -> bool:
        """Hold envelopes, each for so many ms; whether Redis took them."""
        return await self._ask(self._write(envelopes)) or False

    async def close(self) -> None:
        """Let go of the connections, when what is under way has ended."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        with suppress(*FAILURES):
            await self._client.aclose()
            await self._client.connection_pool.disconnect()

    async def _read(self, question: Question) -> Reading:
        pipe = self._client.pipeline(transaction=False)
        pipe.mget(question.places)
        pipe.hmget(FENCES, question.fields)
        return question.read(await pipe.execute(raise_on_error=False))

    async def _write(self, envelopes: Mapping[str, tuple[bytes, int]]) -> bool:
        pipe = self._client.pipeline(transaction=False)
        for key, (envelope, span_ms) in envelopes.items():
            pipe.set(VALUES + key, envelope, px=span_ms)
        return all(answer is True for answer in await pipe.execute())

    async def _ask(self, question: Coroutine[Any, Any, _Given]) -> _Given | None:
        if not self._availability.may_be_asked:
            question.close()
            return None
        # In a task of its own, so that whoever leaves does not cut a reply off its connection.
        task = asyncio.create_task(self._asked(question), name="tezi-cache-redis")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _asked(self, question: Coroutine[Any, Any, _Given]) -> _Given | None:
        try:
            answer = await question
        except FAILURES as error:
            if not is_crowded(error):
                self._availability.failed(error)
                with suppress(*FAILURES):
                    # A reply that comes late is nobody's.
                    await self._client.connection_pool.disconnect(inuse_connections=False)
            return None
        self._availability.answered()
        return answer if self._availability.may_be_asked else None
