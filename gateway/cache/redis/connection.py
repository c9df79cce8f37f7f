"""Connections to Redis, which may be gone, slow or wrong at any time.

For coroutines, each connection has one request in flight.

They are redis-py's connections without its client: that, its pool and its pipelines took most of a
request's time (docs/profiling.md), and are for more concurrent callers than there are here.
"""

import asyncio
import importlib
from collections.abc import Callable, Sequence
from contextlib import suppress

import redis
import redis.asyncio
import redis.retry
from redis.asyncio.connection import AbstractConnection
from redis.backoff import NoBackoff

from gateway.cache.plan import Plan
from preprocess.errors import SettingsError

Command = tuple[bytes | str | int, ...]

# The last four are what redis-py raises for bytes that are not Redis's protocol.
FAILURES = (redis.RedisError, OSError, ValueError, TypeError, IndexError, AttributeError)


def connect(plan: Plan, connections: int) -> redis.Redis:
    """A client with a pool of its own. Nothing is sent yet.

    Raises:
        SettingsError: the address is malformed.
    """
    try:
        pool = redis.BlockingConnectionPool.from_url(
            plan.redis_url,
            max_connections=connections,
            timeout=plan.timeout_s,
            **connection_options(plan, redis.retry.Retry(NoBackoff(), 0)),
        )
    except ValueError:  # its words may repeat a part of the password
        raise SettingsError(
            "TEZI_REDIS_URL has options that redis-py does not take, or that are malformed."
        ) from None
    return redis.Redis(connection_pool=pool)


def connection_options(plan: Plan, retry: object) -> dict[str, object]:
    """What all connections have in common."""
    return {
        "socket_connect_timeout": plan.timeout_s,
        "socket_timeout": plan.timeout_s,
        "retry": retry,
        "protocol": 2,
        "driver_info": None,  # saves a round trip of the 50 ms when it connects
    }


class RedisConnection:
    """One connection, opened by the first request and by the first after a failure."""

    def __init__(
        self, connection: AbstractConnection, timeout_s: float, pack: Callable[[Command], bytes]
    ) -> None:
        """The connection has no timeouts of its own: sending has one, and so has receiving."""
        self._connection = connection
        self._pack = pack
        self._timeout_s = timeout_s
        self._number = 0

    async def send(self, *commands: Command) -> list[object]:
        """The answers to all commands, in order; a command that Redis refuses gives its error.

        Raises:
            ValueError: they are the answers to another request.
            redis.TimeoutError: they did not come in time.
            redis.RedisError: there is no connection, or what came is not Redis's protocol; redis-py
                may raise any of `FAILURES` for such bytes.
        """
        was_open = self._connection.is_connected
        try:
            return await self._exchange(commands)
        except redis.ConnectionError:
            if not was_open:
                raise
            # Redis has closed the connection, or was restarted.
            return await self._exchange(commands)

    async def close(self) -> None:
        """Close the connection."""
        with suppress(*FAILURES):
            await self._connection.disconnect(nowait=True)

    async def _exchange(self, commands: Sequence[Command]) -> list[object]:
        self._number += 1
        mark = str(self._number).encode()
        packed = b"".join(map(self._pack, (*commands, ("ECHO", mark))))
        connection = self._connection
        try:
            async with asyncio.timeout(self._timeout_s):
                if not connection.is_connected:
                    await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_packed_command(packed, check_health=False)
            *answers, echo = await self._read_answers(len(commands) + 1)
        except TimeoutError:
            await self.close()
            raise redis.TimeoutError(f"no answer within {self._timeout_s * 1e3:g} ms") from None
        except BaseException:
            await self.close()  # a late reply must not meet the next request
            raise
        if echo != mark:
            await self.close()
            raise ValueError("Redis gave the answers to another request")
        return answers

    async def _read_answers(self, count: int) -> list[object]:
        found: list[object] = []
        try:
            await self._read_until(found, count)
        except TimeoutError:
            # A busy event loop sees the timeout before it sees a reply that has arrived.
            await asyncio.sleep(0)
            if not await self._connection.can_read():
                raise
            await self._read_until(found, count)
        return found

    async def _read_until(self, found: list[object], count: int) -> None:
        async with asyncio.timeout(self._timeout_s):
            while len(found) < count:
                found.append(await self._read_answer())

    async def _read_answer(self) -> object:
        try:
            return await self._connection.read_response(disconnect_on_error=False)
        except redis.ResponseError as refusal:
            return refusal


def _pack_in_python(command: Command) -> bytes:
    """`hiredis.pack_command` in Python."""
    parts = [str(part).encode() if isinstance(part, str | int) else part for part in command]
    lengths = (b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n" % len(parts) + b"".join(lengths)


class RedisConnections:
    """As many connections as there are requests in flight."""

    def __init__(self, plan: Plan) -> None:
        """The address has already been checked."""
        options = connection_options(plan, redis.asyncio.retry.Retry(NoBackoff(), 0))
        self._pool = redis.asyncio.ConnectionPool.from_url(
            plan.redis_url, **{**options, "socket_timeout": None}
        )
        self._timeout_s = plan.timeout_s
        try:
            self._pack = importlib.import_module("hiredis").pack_command
        except ImportError:  # Triton's stub cannot load another Python's extension
            self._pack = _pack_in_python
        self._idle: list[RedisConnection] = []

    async def send(self, *commands: Command) -> list[object]:
        """As `RedisConnection.send`, by an idle connection or a new one."""
        link = self._idle.pop() if self._idle else self._opened()
        try:
            return await link.send(*commands)
        finally:
            self._idle.append(link)

    def _opened(self) -> RedisConnection:
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return RedisConnection(connection, self._timeout_s, self._pack)

    async def close(self) -> None:
        """Close all idle connections."""
        while self._idle:
            await self._idle.pop().close()
