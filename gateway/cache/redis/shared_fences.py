"""The fences in Redis, which every replica's values stand behind, and the news of them."""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis

from gateway.cache.codec import Stamp
from gateway.cache.invalidation import Notice
from gateway.cache.plan import Plan
from gateway.cache.redis import scripts
from gateway.cache.redis.client import FAILURES, connect
from gateway.cache.redis.reading import CHANNEL, FENCES, SCRIPT_KEYS, VALUES

_FENCES_A_STEP = 1_000
_SWEEP_S = 5.0
_SCANNED = 1_000
_POLLS_S = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.03)


@dataclass(frozen=True, slots=True)
class Renewal:
    """The fences' state and Redis's clock; what was invalidated since the last one known.

    `notices` None: that can no longer be told, so everything may be stale.
    """

    stamp: Stamp
    now_ms: int
    notices: tuple[Notice, ...] | None

    @property
    def is_news(self) -> bool:
        """Whether there is something to forget first."""
        return self.notices is None or bool(self.notices)


class SharedFences:
    """One replica's view. Every method may raise one of `FAILURES`."""

    def __init__(self, plan: Plan, replica: str) -> None:
        """Raises SettingsError if the address is malformed."""
        self._replica = replica
        self._plan = plan
        self._client = connect(plan, 4)
        self._renew = self._client.register_script(scripts.RENEW)
        self._invalidate = self._client.register_script(scripts.INVALIDATE)
        self._waiting = self._client.register_script(scripts.WAITING)
        self._ears: redis.client.PubSub | None = None

    def listen(self, seconds: float) -> None:
        """Return when the bell rings, or after `seconds`; at once if it was not heard until now."""
        if self._ears is None:
            self._ears = self._client.pubsub(  # type: ignore[no-untyped-call]
                ignore_subscribe_messages=True
            )
            self._ears.subscribe(CHANNEL)
            return
        try:
            self._ears.get_message(timeout=seconds)
        except FAILURES:
            self.deaf()
            raise

    def deaf(self) -> None:
        """Listen anew next time."""
        if self._ears is not None:
            with suppress(*FAILURES):
                self._ears.close()
            self._ears = None

    def ring(self) -> None:
        """Have every replica look, this one too."""
        self._client.publish(CHANNEL, "0")

    def renew(self, known: Stamp | None) -> Renewal:
        """Say that everything up to `known` is forgotten; what has to be forgotten besides."""
        lease_ms = int(self._plan.lease_s * 1000)
        epoch, number = (b"", -1) if known is None else (known.epoch, known.number)
        answer = self._renew(SCRIPT_KEYS, [_random(), self._replica, lease_ms, epoch, number])
        *state, now_ms, lines = _shaped(answer, (bytes, int, int, list))
        stamp = Stamp(*state)
        if known is None or stamp.epoch != known.epoch:
            return Renewal(stamp, now_ms, None)
        return Renewal(stamp, now_ms, _notices(lines, known.number, stamp.number))

    def invalidate(self, notice: Notice, *, followed: str = "") -> Stamp:
        """Raise fences for every replica; the state after it.

        `followed` is the place in the change log that is taken care of by it.
        """
        stamp: Stamp | None = None
        for part in notice.invalidation.parts(_FENCES_A_STEP):
            step = Notice(notice.origin, part)
            arguments: list[bytes | str | int] = [_random(), CHANNEL, step.to_bytes()]
            arguments += [int(part.everything), followed, *part.fences]
            answer = self._invalidate(SCRIPT_KEYS, arguments)
            stamp = Stamp(*_shaped(answer, (bytes, int)))
        assert stamp is not None  # noqa: S101 - there is at least one part
        return stamp

    def wait_until_heard(
        self, stamp: Stamp, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """Return when every replica has forgotten what it had to, or its lease is over."""
        end = time.monotonic() + self._plan.lease_s
        lease_ms = int(self._plan.lease_s * 1000)
        tries = 0
        while (left := end - time.monotonic()) > 0:
            answer = self._waiting(SCRIPT_KEYS, [self._replica, lease_ms, stamp.number])
            if answer == 0:
                return
            pause(min(left, _POLLS_S[min(tries, len(_POLLS_S) - 1)]))
            tries += 1

    def followed(self) -> str | None:
        """The place in the change log up to which fences were raised; None if nobody said."""
        found = self._client.hget(FENCES, "followed")
        return found.decode() if isinstance(found, bytes) else None

    def sweep(self, pattern: str) -> int:
        """Free what lies under keys that match; how much that was, in the time there is for it.

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
        """Let go of the connections."""
        self.deaf()
        with suppress(*FAILURES):
            self._client.close()
            self._client.connection_pool.disconnect()


def _random() -> bytes:
    return secrets.token_hex(8).encode()


def _shaped(answer: object, types: tuple[type, ...]) -> list[Any]:
    if not isinstance(answer, list) or list(map(type, answer)) != list(types):
        raise ValueError("Redis gave something else than a script's answer")
    return answer


def _notices(lines: list[bytes], known: int, number: int) -> tuple[Notice, ...] | None:
    """The notices after `known`, ascending; None if one is missing."""
    found: list[Notice] = []
    for expected, line in zip(range(number, known, -1), lines, strict=False):
        place, _, document = line.partition(b" ")
        notice = Notice.from_bytes(document)
        if place != str(expected).encode() or notice is None:
            return None
        found.append(notice)
    return tuple(reversed(found)) if len(found) == max(0, number - known) else None
