"""Connections to Redis for coroutines, each with one question under way at a time.

redis-py's connections without its client: that, its pool and its pipelines were most of what a
question took (docs/profiling.md), and are for more callers than ever ask at once here.
"""

import asyncio
import importlib
from collections.abc import Callable, Sequence
from contextlib import suppress

import redis
import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.cache.plan import Plan
from gateway.cache.redis.client import FAILURES, connection_options

Command = tuple[bytes | str | int, ...]


class Link:
    """One connection, opened by the first question and by the first after a failure."""

    def __init__(
        self, connection: AbstractConnection, timeout_s: float, pack: Callable[[Command], bytes]
    ) -> None:
        """The connection has no time-outs of its own: sending has one, and so have the answers."""
        self._connection = connection
        self._pack = pack
        self._timeout_s = timeout_s
        self._number = 0

    async def ask(self, *commands: Command) -> list[object]:
        """The answers to all commands, in their order; what Redis says no to is an error in it.

        Raises:
            ValueError: they are the answers to another question.
            redis.TimeoutError: they did not come in time.
            redis.RedisError: there is no connection, or what came is no protocol of Redis. These
                are not all that redis-py makes of such bytes: see `client.FAILURES`.
        """
        was_open = self._connection.is_connected
        try:
            return await self._asked(commands)
        except redis.ConnectionError:
            if not was_open:
                raise
            # Redis has closed it meanwhile, or is another one now.
            return await self._asked(commands)

    async def close(self) -> None:
        """Let go of the connection."""
        with suppress(*FAILURES):
            await self._connection.disconnect(nowait=True)

    async def _asked(self, commands: Sequence[Command]) -> list[object]:
        self._number += 1
        mark = str(self._number).encode()
        packed = b"".join(map(self._pack, (*commands, ("ECHO", mark))))
        connection = self._connection
        try:
            async with asyncio.timeout(self._timeout_s):
                if not connection.is_connected:
                    await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_packed_command(packed, check_health=False)
            *answers, echo = await self._answers(len(commands) + 1)
        except TimeoutError:
            await self.close()
            raise redis.TimeoutError(f"no answer within {self._timeout_s * 1e3:g} ms") from None
        except BaseException:
            await self.close()  # a reply that comes late is nobody's
            raise
        if echo != mark:
            await self.close()
            raise ValueError("Redis gave the answers to another question")
        return answers

    async def _answers(self, count: int) -> list[object]:
        found: list[object] = []
        try:
            await self._read_until(found, count)
        except TimeoutError:
            # A busy event loop sees the end of the time before it sees what lies there.
            await asyncio.sleep(0)
            if not await self._connection.can_read():
                raise
            await self._read_until(found, count)
        return found

    async def _read_until(self, found: list[object], count: int) -> None:
        async with asyncio.timeout(self._timeout_s):
            while len(found) < count:
                found.append(await self._answer())

    async def _answer(self) -> object:
        try:
            return await self._connection.read_response(disconnect_on_error=False)
        except redis.ResponseError as refusal:
            return refusal


def _packed(command: Command) -> bytes:
    """As `hiredis.pack_command`, in Python."""
    parts = [str(part).encode() if isinstance(part, str | int) else part for part in command]
    lengths = (b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n" % len(parts) + b"".join(lengths)


class Links:
    """As many links as there are questions under way at once."""

    def __init__(self, plan: Plan) -> None:
        """The address has been checked by then."""
        options = connection_options(plan, Retry(NoBackoff(), 0))
        self._pool = redis.asyncio.ConnectionPool.from_url(
            plan.redis_url, **{**options, "socket_timeout": None}
        )
        self._timeout_s = plan.timeout_s
        try:
            self._pack = importlib.import_module("hiredis").pack_command
        except ImportError:  # the Python of Triton's stub cannot load what is built for another
            self._pack = _packed
        self._idle: list[Link] = []

    async def ask(self, *commands: Command) -> list[object]:
        """As `Link.ask`, by a link that is idle or by a new one."""
        link = self._idle.pop() if self._idle else self._opened()
        try:
            return await link.ask(*commands)
        finally:
            self._idle.append(link)

    def _opened(self) -> Link:
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return Link(connection, self._timeout_s, self._pack)

    async def close(self) -> None:
        """Let go of all that are idle."""
        while self._idle:
            await self._idle.pop().close()
