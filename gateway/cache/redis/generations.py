"""The generations in Redis, which all replicas share.

`generations` is a hash. `number` counts the invalidations; each scope that was ever invalidated has
the number of its last one, its generation. A value carries the number at which its computation
began, and is current while no scope of its key has a greater generation. `cleared` is the number of
the last invalidation that replicas hear of from Redis alone. `epoch` is a random name, and `run`
the Redis server that it was made on: a hash that was lost, or came back with old data, begins a new
epoch, and values of another epoch are misses. `followed` is a position in the change log.
"""

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gateway.cache.invalidation import Invalidation
from gateway.cache.plan import Plan
from gateway.cache.redis.connection import FAILURES, connect
from gateway.cache.redis.reading import GENERATIONS, VALUES, Stamp

_SWEEP_S = 5.0
_SCANNED = 1_000

_BEGIN = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch or redis.call('HGET', KEYS[1], 'run') ~= run then
  redis.call('DEL', KEYS[1])
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'run', run, 'number', 0, 'cleared', 0)
end
local state = redis.call('HMGET', KEYS[1], 'number', 'cleared', 'followed')
"""

# ARGV fresh-epoch. Gives epoch, number, cleared, and Redis's time in ms.
_POLL = f"""{_BEGIN}
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
return {{epoch, tonumber(state[1]), tonumber(state[2] or 0), now}}
"""

# ARGV fresh-epoch everything followed scope... Gives the epoch, the number of the invalidation, and
# `cleared` as it was before. One that follows the change log does not count as a clear.
_INVALIDATE = f"""{_BEGIN}
local number = redis.call('HINCRBY', KEYS[1], 'number', 1)
local followed = state[3]
if ARGV[3] ~= '' then followed = ARGV[3] end
if ARGV[2] == '1' then
  epoch = ARGV[1]
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'run', run, 'number', number)
end
for index = 4, #ARGV do redis.call('HSET', KEYS[1], ARGV[index], number) end
if ARGV[3] == '' then redis.call('HSET', KEYS[1], 'cleared', number) end
if followed then redis.call('HSET', KEYS[1], 'followed', followed) end
return {{epoch, number, tonumber(state[2] or 0)}}
"""


@dataclass(frozen=True, slots=True)
class State:
    """The newest number, that of the last clear, and Redis's clock in ms."""

    stamp: Stamp
    cleared: int
    now_ms: int


class Generations:
    """A replica's connection to the shared generations. Every method may raise a `FAILURES`."""

    def __init__(self, plan: Plan) -> None:
        """Raises SettingsError if the address is malformed."""
        self._client = connect(plan, 4)
        self._poll = self._client.register_script(_POLL)
        self._invalidate = self._client.register_script(_INVALIDATE)

    def poll(self) -> State:
        """The state now; a hash that was lost begins anew."""
        epoch, number, cleared, now_ms = _shaped(
            self._poll([GENERATIONS], [_random()]), (bytes, int, int, int)
        )
        return State(Stamp(epoch, number), cleared, now_ms)

    def invalidate(self, invalidation: Invalidation, followed: str = "") -> tuple[Stamp, int]:
        """Begin a new generation of some scopes: the stamp of it, and the clear before it.

        `followed` is the position in the change log that this takes care of.
        """
        arguments = [_random(), str(int(invalidation.everything)), followed, *invalidation.scopes]
        epoch, number, cleared = _shaped(
            self._invalidate([GENERATIONS], arguments), (bytes, int, int)
        )
        return Stamp(epoch, number), cleared

    def followed(self) -> str | None:
        """The position in the change log that is taken care of; None if it is not known."""
        found = self._client.hget(GENERATIONS, "followed")
        return found.decode() if isinstance(found, bytes) else None

    def sweep(self, pattern: str) -> int:
        """Delete the values of keys that match; how many there were, within the time limit.

        SCAN and not KEYS: Redis goes on answering others between two steps.
        """
        end = time.monotonic() + _SWEEP_S
        cursor, dropped = 0, 0
        while True:
            cursor, keys = self._client.scan(cursor, match=VALUES + pattern, count=_SCANNED)
            if keys:
                dropped += int(self._client.unlink(*keys))
            if not cursor or time.monotonic() > end:
                return dropped

    def close(self) -> None:
        """Close the connections."""
        with suppress(*FAILURES):
            self._client.close()
            self._client.connection_pool.disconnect()


def _random() -> str:
    return secrets.token_hex(8)


def _shaped(answer: object, types: tuple[type, ...]) -> list[Any]:
    if not isinstance(answer, list) or list(map(type, answer)) != list(types):
        raise ValueError("Redis gave something else than a script's answer")
    return answer
