"""The thread that follows the generations in Redis, and notices when Redis is back."""

import threading
import time
from collections.abc import Callable

from gateway.cache.invalidation import Invalidation
from gateway.cache.local import Clock
from gateway.cache.plan import Plan
from gateway.cache.redis.availability import FAILURES_IN_A_ROW, Availability
from gateway.cache.redis.connection import FAILURES
from gateway.cache.redis.generations import Generations
from gateway.cache.redis.reading import Stamp

THREAD_NAME = "tezi-cache-watch"
_PAUSE_S = 0.02


class Watch:
    """Polls the generations, since the local tier may answer only for `lease_s` after a poll.

    Started by the first lookup that needs Redis.
    """

    def __init__(
        self,
        plan: Plan,
        availability: Availability,
        forget_everything: Callable[[], object],
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        """`forget_everything` is called when another replica has cleared something.

        Raises:
            SettingsError: the address of Redis is malformed.
        """
        self._plan = plan
        self._availability = availability
        self._forget_everything = forget_everything
        self._clock = clock
        self._generations = Generations(plan)
        self._starting = threading.Lock()
        self._polling = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._lease_until = float("-inf")
        # Redis's clock less this process's, in ms: at least, at most.
        self._offset = (0.0, 0.0)
        self._cleared: tuple[bytes, int] | None = None
        self.stamp: Stamp | None = None

    @property
    def is_current(self) -> bool:
        """Whether Redis was polled within the lease, or is away so that it cannot be."""
        return not self._availability.is_up or self._clock() < self._lease_until

    @property
    def is_started(self) -> bool:
        """Whether Redis was tried for the first time."""
        return self._thread is not None

    def start(self) -> None:
        """Poll from now on. Takes a few timeouts at most."""
        if self._thread is not None:
            return
        with self._starting:
            if self._thread is None and not self._closing:
                self._reconnect()
                thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
                thread.start()
                self._thread = thread

    def left(self, ends_ms: int, now: float) -> float:
        """Seconds from `now` for which Redis keeps a value, at the least."""
        return ends_ms / 1000.0 - (now + self._offset[1] / 1000.0)

    def redis_ms(self, now: float) -> int:
        """Redis's clock at `now`, at the earliest."""
        return int(now * 1000.0 + self._offset[0])

    def invalidate(self, invalidation: Invalidation, followed: str = "") -> bool:
        """Begin a new generation; False: Redis will be told before it is used again."""
        self.start()
        if self._availability.may_be_asked:
            try:
                self._invalidate(invalidation, followed)
            except FAILURES as error:
                self._availability.failed(error, at_once=True)
            else:
                return True
        self._availability.owe(invalidation)
        return False

    def sweep(self, invalidation: Invalidation) -> int:
        """Delete what an invalidation has made useless; how many values there were."""
        freed = 0
        for pattern in invalidation.patterns:
            if self._availability.may_be_asked:
                try:
                    freed += self._generations.sweep(pattern)
                except FAILURES as error:
                    self._availability.failed(error)
        return freed

    def followed(self) -> str | None:
        """The position in the change log that is taken care of; None if Redis does not say."""
        self.start()
        if not self._availability.may_be_asked:
            return None
        try:
            return self._generations.followed()
        except FAILURES as error:
            self._availability.failed(error)
            return None

    def poll(self) -> None:
        """Forget everything if there was a clear; the local tier may answer for another lease."""
        with self._polling:
            self._poll()

    def close(self) -> None:
        """End the thread."""
        with self._starting:
            self._closing = True
            thread, self._thread = self._thread, None
        self._availability.wake.set()
        if thread is not None:
            thread.join()
        self._generations.close()

    def _run(self) -> None:
        while not self._closing:
            if self._availability.may_be_asked:
                self._availability.wake.wait(self._plan.renew_s)
                self._availability.wake.clear()
                try:
                    self.poll()
                except FAILURES as error:
                    self._availability.failed(error)
            else:
                if not self._availability.is_up:
                    self._availability.wake.wait(self._plan.retry_s)
                self._availability.wake.clear()
                if not self._closing:
                    self._reconnect()

    def _reconnect(self) -> None:
        """Try Redis a few times: a single failure may be a hiccup."""
        for attempt in range(FAILURES_IN_A_ROW):
            if attempt and not self._closing:
                time.sleep(_PAUSE_S)
            if self._tell_what_was_missed(is_last=attempt == FAILURES_IN_A_ROW - 1):
                return

    def _tell_what_was_missed(self, *, is_last: bool) -> bool:
        try:
            while (owed := self._availability.owed) is not None:
                self._generations.invalidate(owed)
                self._availability.paid(owed)
            self.poll()
        except FAILURES as error:
            self._availability.failed(error, at_once=is_last)
            return False
        self._availability.came_back()
        return True

    def _invalidate(self, invalidation: Invalidation, followed: str) -> None:
        with self._polling:
            stamp, cleared = self._generations.invalidate(invalidation, followed)
            # The caller forgets what is invalidated itself; only a clear by another replica
            # in between means that everything has to go.
            if not followed and self._cleared == (stamp.epoch, cleared):
                self._cleared = (stamp.epoch, stamp.number)
            self._poll()

    def _poll(self) -> None:
        sent = self._clock()
        state = self._generations.poll()
        received = self._clock()
        if (state.stamp.epoch, state.cleared) != self._cleared:
            self._forget_everything()
            self._cleared = (state.stamp.epoch, state.cleared)
        self.stamp = state.stamp
        self._offset = (state.now_ms - received * 1000.0, state.now_ms - sent * 1000.0)
        self._lease_until = sent + self._plan.lease_s
